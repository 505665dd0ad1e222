import { generate, parser as packetParser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { readConnect } from './connect.ts'
import { readConnectPacket } from './connect-reader.ts'
import { FieldReader } from './fields.ts'
import { readAllProperties } from './properties.ts'
import { readPropertyBag } from './property-bag.ts'
import { bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'
import { readTopic } from './route.ts'
import { readSubscribe, readUnsubscribe } from './subscriptions.ts'

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
const anyText = () => Array.from({ length: random(8) }, () => characters[random(characters.length)]).join('')

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
      const sent = new Map(Array.from({ length: random(5) }, () => [`k${anyText()}`, anyText()] as const))
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
        return outcome(() => readAllProperties(new FieldReader(around, 16, 16 + bytes.length), 'publish'))
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

  test('SUBSCRIBE and UNSUBSCRIBE: read or refused as such, and never from beyond their end', () => {
    let read = 0
    for (let round = 0; round < rounds; round++) {
      const version = random(2) === 0 ? 4 : 5
      const isSubscribe = random(2) === 0
      const filters = Array.from(
        { length: 1 + random(4) },
        () => ['a', '#', '+/b', '$share/g/a', 'é', ''][random(6)] as string,
      )
      const options = () => (version === 5 ? [0, 1, 2, 0x08, 0x10, 0x21][random(6)] : random(3)) as number
      const sample = packet(
        isSubscribe ? 0x82 : 0xa2,
        twoBytes(1 + random(9)),
        ...(version === 5 ? [bytes(0)] : []),
        ...filters.flatMap((filter) => [text(filter), ...(isSubscribe ? [bytes(options())] : [])]),
      )
      const frame = random(3) === 0 ? sample : damaged(sample)
      const outcomeOf = (): { readonly filters: readonly string[] } => {
        if (!isSubscribe) return readUnsubscribe(frame, version)
        return { filters: readSubscribe(frame, version).filters.map(({ filter }) => filter) }
      }
      const found = outcome(outcomeOf)
      if (frame === sample) expect(found).toMatchObject({ filters })
      if (typeof found === 'string') {
        expect(['INGEST_FRAME_MALFORMED', 'INGEST_PROTOCOL_ERROR']).toContain(found)
        continue
      }
      read++
      const filterBytes = found.filters.reduce((sum, filter) => sum + text(filter).length + (isSubscribe ? 1 : 0), 0)
      expect(frame.length).toBeGreaterThanOrEqual(4 + filterBytes)
      for (const filter of found.filters) {
        expect(filter).not.toContain('\0')
        expect(frame.includes(text(filter))).toBe(true)
      }
    }
    expect(read).toBeGreaterThan(rounds / 4)
  })

  test('CONNECT: whatever is read, the reference parser reads as the same', () => {
    const samples = ([4, 5] as const).flatMap((version) =>
      [0x02, 0xc2, 0x2e, 0xce].map((flags) => {
        const own =
          version === 5
            ? [properties(property(0x26, Buffer.concat([text('k'), text('v')])), property(0x18, bytes(0, 0, 0, 1)))]
            : []
        const will = (flags & 0x04) === 0 ? [] : [...own, text('w/t'), text('gone')]
        const who = (flags & 0x80) === 0 ? [] : [text('me'), text('secret')]
        return rawConnect(version, {
          flags,
          properties: properties(property(0x11, bytes(0, 0, 1, 0))),
          rest: [...will, ...who],
        })
      }),
    )
    let read = 0
    for (let round = 0; round < rounds; round++) {
      const sample = samples[round % samples.length] as Buffer
      const frame = round < samples.length ? sample : damaged(sample)
      const found = outcome(() => readConnectPacket(frame, () => {}))
      // A frame whose length was damaged never comes as a whole.
      if (typeof found === 'string' || frame.length !== 2 + (frame[1] as number)) continue
      read++
      let reference: unknown
      const parser = packetParser({ protocolVersion: found.version })
      parser.on('packet', (parsed) => {
        reference = parsed
      })
      parser.on('error', () => {})
      parser.parse(Buffer.from(frame))
      // It refuses some topics and properties that the edge judges later.
      if (reference === undefined) continue
      expect(reference).toMatchObject({
        clientId: found.clientId,
        keepalive: found.keepAliveSeconds,
        clean: found.isCleanStart,
        ...(found.username === undefined ? {} : { username: found.username }),
        ...(found.password === undefined ? {} : { password: found.password }),
        ...(found.will === undefined
          ? {}
          : { will: { topic: found.will.topic, qos: found.will.qos, retain: found.will.isRetained } }),
      })
    }
    expect(read).toBeGreaterThan(samples.length)
  })
})
