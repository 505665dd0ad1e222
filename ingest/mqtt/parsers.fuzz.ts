import { generate } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { readConnect } from './connect.ts'
import { readPropertyBag } from './property-bag.ts'
import { readPublishProperties } from './publish-properties.ts'
import { readTopic } from './route.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const rounds = 20_000

const random = seededRandom(seed).below

function damaged(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  for (let change = random(4); change >= 0; change--) {
    const at = random(copy.length)
    switch (random(4)) {
      case 0:
        copy[at] = random(256)
        break
      case 1:
        copy[at] = [0, 1, 0x7f, 0x80, 0xff, 0x26, 0x23][random(7)] as number
        break
      case 2:
        copy.copyWithin(at, random(copy.length))
        break
      default:
        copy.fill(random(256), at, Math.min(copy.length, at + random(6)))
    }
  }
  return random(3) === 0 ? copy.subarray(0, random(copy.length + 1)) : copy
}

const characters = ['a', 'é', '😀', ' ', '&', '=', '%', '/', '$', '+', '#', '\r\n', '\0', '"', "'", '{', '.', '-']
const text = () => Array.from({ length: random(8) }, () => characters[random(characters.length)]).join('')

/** The fault's code, or what was read; anything else that is thrown fails the test. */
function outcome<T>(read: () => T): T | string {
  try {
    return read()
  } catch (error) {
    if (isPenstockError(error)) return error.code
    throw error
  }
}

describe(`parsers of what a device sends, SEED=${seed}`, () => {
  test('property bags: what a client encodes is what is read, whatever its characters', () => {
    for (let round = 0; round < rounds; round++) {
      const sent = new Map(Array.from({ length: random(5) }, () => [`k${text()}`, text()] as const))
      const bag = [...sent].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`).join('&')
      const properties = new Map<string, string>()
      readPropertyBag(bag, properties, new Map())
      expect([...properties]).toEqual([...sent])
    }
  })

  test('property bags: anything else is read or refused as such, and never speaks for another device', () => {
    const pieces = [
      '%24.cdid',
      '$.cdid',
      '$.cmid',
      '=',
      '&',
      '%',
      '%2',
      '%ff',
      '%00',
      'a',
      '$.mid',
      '__proto__',
      '%0d%0a',
    ]
    for (let round = 0; round < rounds; round++) {
      const bag = Array.from({ length: random(10) }, () => pieces[random(pieces.length)]).join('')
      const system = new Map<string, string>()
      const code = outcome(() => readPropertyBag(bag, new Map(), system))
      expect([undefined, 'INGEST_TOPIC_REFUSED']).toContain(code)
      for (const key of system.keys()) expect(['$.cdid', '$.cmid', 'moduleId', 'topic']).not.toContain(key)
    }
  })

  test('topics: whatever is sent, the message is of the publisher itself [G-6]', () => {
    const pieces = [
      'devices',
      'd1',
      'd2',
      '/',
      '//',
      'modules',
      'm1',
      'messages',
      'events',
      '$iothub',
      '..',
      '%2f',
      '\0',
    ]
    const publisher = { deviceId: 'd1', moduleId: undefined }
    for (let round = 0; round < rounds; round++) {
      const topic = Array.from({ length: random(12) }, () => `${pieces[random(pieces.length)]}${random(2) ? '/' : ''}`)
      const bytes = random(4) === 0 ? damaged(Buffer.from(`${topic.join('')}x`)) : Buffer.from(topic.join(''))
      const reading = outcome(() => readTopic(bytes, publisher))
      if (typeof reading === 'string') continue
      expect(reading.deviceId).toBe('d1')
      expect(reading.systemProperties.get('moduleId')).toBeUndefined()
    }
  })

  test('properties of PUBLISH: read or refused as such, and never from beyond their end', () => {
    const packet = generate(
      {
        cmd: 'publish',
        topic: 't',
        payload: '',
        qos: 0,
        dup: false,
        retain: false,
        properties: {
          payloadFormatIndicator: true,
          messageExpiryInterval: 77,
          contentType: 'text/plain',
          responseTopic: 'a/b',
          correlationData: Buffer.from([1, 2, 3]),
          userProperties: { a: 'b', c: ['d', 'e'] },
          topicAlias: 3,
        },
      },
      { protocolVersion: 5 },
    )
    const whole = packet.subarray(6) // fixed header 2, topic 3, property length 1
    for (let round = 0; round < rounds; round++) {
      const bytes = round === 0 ? whole : damaged(whole)
      const framed = (filler: number) => {
        const around = Buffer.alloc(bytes.length + 32, filler)
        bytes.copy(around, 16)
        return outcome(() => readPublishProperties(around, 16, 16 + bytes.length))
      }
      expect(framed(0xff)).toEqual(framed(0))
      if (round === 0) expect(framed(0)).toMatchObject({ topicAlias: 3 })
    }
  })

  test('CONNECT: read or refused as such; an id that is let through holds no slash, control character or dot-dot path', () => {
    const samples = ([4, 5] as const).flatMap((protocolVersion) => [
      generate({
        cmd: 'connect',
        protocolId: 'MQTT',
        protocolVersion,
        clientId: 'device-1',
        clean: true,
        keepalive: 60,
        username: 'hub.example/device-1/?api-version=2021-04-12',
        password: Buffer.from('SharedAccessSignature sr=x&sig=y&se=1'),
        will: { topic: 'devices/device-1/messages/events/', payload: Buffer.from('bye'), qos: 1, retain: false },
        ...(protocolVersion === 5
          ? { properties: { sessionExpiryInterval: 9, maximumPacketSize: 1_000, userProperties: { a: 'b' } } }
          : {}),
      }),
      generate({ cmd: 'connect', protocolId: 'MQTT', protocolVersion, clientId: '', clean: true, keepalive: 0 }),
    ])
    let read = 0
    for (let round = 0; round < rounds; round++) {
      const sample = samples[round % samples.length] as Buffer
      const request = outcome(() => readConnect(round < samples.length ? sample : damaged(sample)))
      if (typeof request === 'string') continue
      read++
      expect(request.clientId).toMatch(
        /^([A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}(\/[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128})?)?$/,
      )
      expect(request.keepAliveSeconds).toBeLessThanOrEqual(65_535)
      expect(request.will?.payload.length ?? 0).toBeLessThanOrEqual(limits.bodyBytesMax)
    }
    expect(read).toBeGreaterThan(samples.length)
  })
})
