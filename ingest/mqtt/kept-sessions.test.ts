/** Sessions that outlive their connection, as an MQTT client sees them. What keeps them is a map. */
import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Capability } from '#ingest/session/capabilities.ts'
import type { Session } from '#ingest/session/session.ts'
import { bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

type Version = 4 | 5

const cleanFlags = 0x02
const none = bytes()
const methodFilter = '$iothub/methods/POST/#'

function setUp(version: Version) {
  const kept = new Map<string, { subscriptions: number; keptSeconds: number | undefined }>()
  let tellLate = (_subscriptions: number): void => {}
  let isAway = false
  const fixture = edgeFixture({
    authenticate: ({ clientId, resumes }) => {
      const found = resumes ? (kept.get(clientId)?.subscriptions ?? 0) : 0
      return {
        deviceId: clientId,
        moduleId: undefined,
        expiresAtMs: undefined,
        kept: {
          subscriptions: isAway ? undefined : found,
          onLate: (listener) => {
            tellLate = listener
          },
          keep: (subscriptions, keptSeconds) => {
            kept.set(clientId, { subscriptions, keptSeconds })
          },
          end: () => {},
        },
      }
    },
  })
  const told: string[] = []
  const watch: Capability = {
    onSubscribed: (_session, feed) => told.push(`+${feed}`),
    onUnsubscribed: (_session, feed) => told.push(`-${feed}`),
  }
  fixture.edge.capabilities.add(watch)
  const connect = (flags: number, expiry?: number) => {
    const { connection, transport } = fixture.connect()
    const own = expiry === undefined ? bytes(0) : properties(property(0x11, bytes(0, 0, 0, expiry)))
    connection.onChunk(rawConnect(version, { flags, properties: own }))
    const packets = (): Packet[] => {
      const found: Packet[] = []
      const parser = mqttPacket.parser({ protocolVersion: version })
      parser.on('packet', (parsed) => found.push(parsed))
      parser.parse(transport.bytes)
      return found
    }
    const session = fixture.edge.sessions.get('d1') as Session
    const subscribe = (filter: string, qos: number) =>
      connection.onChunk(packet(0x82, twoBytes(7), version === 5 ? bytes(0) : none, text(filter), bytes(qos)))
    return { connection, transport, packets, session, subscribe }
  }
  return {
    kept,
    told,
    connect,
    away: () => {
      isAway = true
    },
    late: (subscriptions: number) => tellLate(subscriptions),
  }
}

/** Two bits a feed: commands, methods, … */
const methodsWithQos1 = 2 << 2

describe.each([4, 5] as const)('a kept session over MQTT level %i', (version) => {
  const expiry = version === 5 ? 60 : undefined

  test('goes on after a lost connection: CONNACK says so, and nothing need be subscribed again [MQTT-3.2.2-2] [MQTT-3.2.2-3]', async () => {
    const { kept, told, connect } = setUp(version)
    const first = connect(0, expiry)
    expect(first.packets()[0]).toMatchObject({ cmd: 'connack', sessionPresent: false })
    first.subscribe(methodFilter, 1)
    expect(kept.get('d1')).toEqual({ subscriptions: methodsWithQos1, keptSeconds: expiry })
    first.connection.onClosed()
    told.length = 0
    const second = connect(0, expiry)
    expect(second.packets()[0]).toMatchObject({ cmd: 'connack', sessionPresent: true })
    expect(told).toEqual(['+methods'])
    await second.session.send({ feed: 'methods', name: 'x', requestId: '1', body: Buffer.alloc(0) })
    expect(second.packets()[1]).toMatchObject({ cmd: 'publish', topic: '$iothub/methods/POST/x/?$rid=1' })
    // A client may acknowledge late what an earlier connection brought.
    second.connection.onChunk(packet(0x40, twoBytes(3)))
    expect(second.transport.ended).toBe(false)
  })

  test('is forgotten where the client begins anew [MQTT-3.1.2-6], and feed by feed with UNSUBSCRIBE', () => {
    const { kept, told, connect } = setUp(version)
    const first = connect(0, expiry)
    first.subscribe(methodFilter, 1)
    first.subscribe('$iothub/twin/res/#', 0)
    first.connection.onChunk(packet(0xa2, twoBytes(8), version === 5 ? bytes(0) : none, text(methodFilter)))
    expect(kept.get('d1')?.subscriptions).toBe(1 << 4)
    expect(told).toEqual(['+methods', '+twinAnswers', '-methods'])
    const second = connect(cleanFlags)
    expect(second.packets()[0]).toMatchObject({ cmd: 'connack', sessionPresent: false })
    expect(second.session.listensTo('twinAnswers')).toBe(false)
    expect(kept.get('d1')?.subscriptions).toBe(0)
    second.subscribe(methodFilter, 1)
    expect(kept.get('d1')?.subscriptions).toBe(0)
  })

  test('of which nobody knows in time begins as soon as somebody does; what the client says goes before', () => {
    const { told, connect, away, late } = setUp(version)
    away()
    const { packets, session, subscribe } = connect(0, expiry)
    expect(packets()[0]).toMatchObject({ cmd: 'connack', sessionPresent: false })
    subscribe('$iothub/twin/res/#', 0)
    late(methodsWithQos1 | (2 << 4))
    expect([session.listensTo('methods'), told]).toEqual([true, ['+twinAnswers', '+methods']])
  })

  test('may be sent to before the client has subscribed again, where it becomes known meanwhile', async () => {
    const { connect, away, late } = setUp(version)
    away()
    const { packets, session, subscribe } = connect(0, expiry)
    late(methodsWithQos1)
    await session.send({ feed: 'methods', name: 'x', requestId: '1', body: Buffer.alloc(0) })
    subscribe(methodFilter, 1)
    expect(packets().map(({ cmd }) => cmd)).toEqual(['connack', 'publish', 'suback'])
  })
})

describe('a kept session over MQTT 5.0', () => {
  const disconnect = (seconds: number) => packet(0xe0, bytes(0), properties(property(0x11, bytes(0, 0, 0, seconds))))

  test('is kept as long as the client says last; one that was not to be kept cannot be later', () => {
    const { kept, connect } = setUp(5)
    const first = connect(0, 60)
    first.subscribe(methodFilter, 0)
    first.connection.onChunk(disconnect(5))
    expect(kept.get('d1')).toEqual({ subscriptions: 1 << 2, keptSeconds: 5 })
    const second = connect(0, 60)
    second.connection.onChunk(disconnect(0))
    expect(kept.get('d1')?.subscriptions).toBe(0)
    const third = connect(cleanFlags)
    third.subscribe(methodFilter, 0)
    third.connection.onChunk(disconnect(5))
    expect(third.packets().at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x82 })
    expect(kept.get('d1')?.subscriptions).toBe(0)
  })
})

test('where devices are not known nothing is kept, and CONNACK of 5.0 says so', () => {
  const { connection, transport } = edgeFixture().connect()
  connection.onChunk(rawConnect(5, { flags: 0, properties: properties(property(0x11, bytes(0, 0, 0, 60))) }))
  const found: Packet[] = []
  const parser = mqttPacket.parser({ protocolVersion: 5 })
  parser.on('packet', (parsed) => found.push(parsed))
  parser.parse(transport.bytes)
  expect(found[0]).toMatchObject({ sessionPresent: false, properties: { sessionExpiryInterval: 0 } })
})
