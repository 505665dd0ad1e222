/** A client that subscribes, acknowledges, answers and damages what it likes, while the edge sends to it. */
import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { Methods } from '#ingest/device-api/methods.ts'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import type { CallOutcome } from '#schemas/downlink.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { publishPacket, setPacketId, topicOf } from './delivery-packets.ts'
import { requestOf } from './device-requests.ts'
import { bytes, packet, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
const seconds = Number(process.env.FUZZ_SECONDS ?? 3)
const random = seededRandom(seed).below

const filters = [
  'devices/d1/messages/devicebound/#',
  '$iothub/methods/POST/#',
  '$iothub/twin/res/#',
  '$iothub/twin/PATCH/properties/desired/#',
  'devices/d2/messages/devicebound/#',
  '#',
]
const characters = ['a', 'é', '😀', ' ', '&', '=', '%', '/', '$', '+', '#', '\n', '.', '']
const anyText = () => Array.from({ length: random(6) }, () => characters[random(characters.length)]).join('')
const anyMap = () => new Map(Array.from({ length: random(4) }, () => [anyText(), anyText()] as const))

function anyDelivery(): Delivery {
  const body = Buffer.alloc(random(10) === 0 ? random(70_000) : random(20), 0x31)
  switch (random(4)) {
    case 0:
      return { feed: 'methods', name: 'm', requestId: `r${random(9)}`, body }
    case 1:
      return { feed: 'twinAnswers', requestId: anyText(), status: random(600), version: random(3) || undefined, body }
    case 2:
      return { feed: 'desired', version: random(1_000), body }
    default:
      return {
        feed: 'commands',
        systemProperties: anyMap(),
        applicationProperties: anyMap(),
        body,
        isRepeated: random(2) === 0,
      }
  }
}

describe(`the two-way half of a connection, SEED=${seed}`, () => {
  test('what is written is what the reference parser reads, whatever is in it', () => {
    for (let round = 0; round < 20_000; round++) {
      const version = random(2) === 0 ? 4 : 5
      const delivery = anyDelivery()
      const qos = random(2) === 0 ? 0 : 1
      const topic = topicOf(delivery, { deviceId: 'd1', moduleId: random(2) === 0 ? undefined : 'm1' })
      const written = publishPacket(version, qos, random(2) === 0, topic, delivery.body)
      if (written === undefined) continue
      const packetId = 1 + random(0xffff)
      if (qos === 1) setPacketId(written, packetId)
      const read: Packet[] = []
      const parser = mqttPacket.parser({ protocolVersion: version })
      parser.on('packet', (parsed) => read.push(parsed))
      expect(parser.parse(written)).toBe(0)
      expect(read).toMatchObject([{ cmd: 'publish', topic, qos, ...(qos === 1 ? { messageId: packetId } : {}) }])
      const [found] = read
      expect(found?.cmd === 'publish' && Buffer.from(found.payload as Buffer).equals(delivery.body)).toBe(true)
    }
  })

  test('topics: anything is a request of the device, or none, or malformed', () => {
    const pieces = [
      '$iothub/',
      'twin/',
      'GET/',
      'PATCH/properties/reported/',
      'methods/',
      'res/',
      '200',
      '-1',
      '/?$rid=',
      '7',
      '&$version=',
      '3',
      '\0',
      '%',
      'x',
    ]
    for (let round = 0; round < 50_000; round++) {
      const topic = Buffer.from(Array.from({ length: random(9) }, () => pieces[random(pieces.length)]).join(''))
      if (random(5) === 0 && topic.length > 0) topic[random(topic.length)] = random(256)
      try {
        const request = requestOf(topic)
        if (request === undefined) continue
        expect(request.requestId).not.toMatch(/[&#+\0]/)
        expect(Number.isSafeInteger(request.status)).toBe(true)
      } catch (error) {
        expect(isPenstockError(error, 'INGEST_FRAME_MALFORMED')).toBe(true)
      }
    }
  })

  test('PUBACK, PUBREC, PUBREL and PUBCOMP: taken as the norm has them, or the connection ends; never another delivery', async () => {
    for (let round = 0; round < 3_000; round++) {
      const version = random(2) === 0 ? 4 : 5
      const { edge, connect } = edgeFixture()
      const { connection, transport } = connect()
      connection.onChunk(rawConnect(version))
      const own = version === 5 ? bytes(0) : bytes()
      connection.onChunk(packet(0x82, twoBytes(1), own, text(filters[0] ?? ''), bytes(1)))
      const maps = { systemProperties: new Map(), applicationProperties: new Map() }
      const command = { feed: 'commands', ...maps, body: bytes(1), isRepeated: false } as const
      const outcomes: Outcome[] = []
      const sent = edge.sessions.get('d1')?.send(command)
      sent?.then((outcome) => outcomes.push(outcome))
      const id = lastPacketId(transport.bytes)
      const first = [0x40, 0x50, 0x62, 0x70, random(256)][random(5)] ?? 0x40
      const rest = Array.from({ length: random(4) === 0 ? random(12) : 0 }, () => random(256))
      const named = random(3) === 0 ? random(0x1_0000) : id
      connection.onChunk(packet(first, twoBytes(named), bytes(...rest)))
      await Promise.resolve()
      const isAnswer = first === 0x40 && named === id
      if (outcomes.length > 0 && !transport.ended) expect(isAnswer, `round ${round}`).toBe(true)
      if (isAnswer && rest.length === 0) expect(outcomes).toEqual(['acknowledged'])
      connection.onClosed()
      await sent
      expect(outcomes.length).toBe(1)
      if (!isAnswer) expect(outcomes).toEqual(['lost'])
    }
  })

  test('whatever a client does, each delivery and each call is settled once, and little is kept', async () => {
    const endMs = Date.now() + seconds * 1_000
    for (let round = 0; Date.now() < endMs; round++) {
      const version = random(2) === 0 ? 4 : 5
      const { edge, connect } = edgeFixture()
      const methods = new Methods(edge)
      edge.capabilities.add(methods)
      const { connection, transport } = connect()
      connection.onChunk(rawConnect(version))
      const session = edge.sessions.get('d1')
      const settled: (Outcome | CallOutcome)[] = []
      const asked: Promise<unknown>[] = []
      const own = version === 5 ? bytes(0) : bytes()
      for (let step = random(60); step >= 0; step--) {
        switch (random(7)) {
          case 0:
            connection.onChunk(
              packet(0x82, twoBytes(1 + step), own, text(filters[random(random(4) + 2)] ?? '#'), bytes(random(3))),
            )
            break
          case 1:
            connection.onChunk(packet(0xa2, twoBytes(1 + step), own, text(filters[random(4)] ?? '')))
            break
          case 2: {
            const ids = [...transport.bytes.toString('latin1').matchAll(/\$rid=([\da-f]{16})/g)].map(([, rid]) => rid)
            const rid = random(4) === 0 ? '0123456789abcdef' : (ids.at(-1) ?? 'x')
            connection.onChunk(packet(0x30, text(`$iothub/methods/res/${random(300)}/?$rid=${rid}`), own, bytes(0x31)))
            break
          }
          case 3: {
            const frame = packet(
              0x40,
              twoBytes(random(4) === 0 ? random(65_536) : lastPacketId(transport.bytes)),
              bytes(...(random(3) === 0 ? [random(256)] : [])),
            )
            connection.onChunk(frame)
            break
          }
          case 4:
            transport.writeBytes = random(2) * (limits.socketWriteBytesMax + 1)
            connection.onDrained()
            break
          case 5:
            asked.push(
              methods
                .call(
                  { deviceId: 'd1', moduleId: undefined },
                  { kind: 'method', name: 'm', payload: '1', responseMs: 60_000 },
                  0,
                )
                .then((outcome) => settled.push(outcome)),
            )
            break
          default:
            if (session) asked.push(session.send(anyDelivery()).then((outcome) => settled.push(outcome)))
        }
        if (random(10) === 0) await Promise.resolve()
      }
      connection.onClosed()
      await Promise.all(asked)
      expect(settled.length, `round ${round}`).toBe(asked.length)
      expect(edge.sessions.size).toBe(0)
    }
  })
})

/** Of the last PUBLISH with QoS 1 among these packets; 1 if there is none. */
function lastPacketId(written: Buffer): number {
  let found = 1
  const parser = mqttPacket.parser()
  parser.on('packet', (parsed) => {
    if (parsed.cmd === 'publish' && parsed.messageId) found = parsed.messageId
  })
  try {
    parser.parse(written)
  } catch {
    // Packets of 5.0, read as older ones: any id will do.
  }
  return found
}
