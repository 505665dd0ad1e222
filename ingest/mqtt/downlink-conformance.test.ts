/**
 * What both versions of MQTT ask of a server that sends: subscriptions and their options, retained messages, packet ids, the window, DUP. Each
 * test names the statements of the norm that it proves; docs/DEVICES.md lists them, with what is not offered.
 */
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Outcome } from '#ingest/session/delivery.ts'
import type { Session } from '#ingest/session/session.ts'
import { limits } from '#schemas/limits.ts'
import { bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

type Version = 4 | 5

const commandFilter = 'devices/d1/messages/devicebound/#'
const methodFilter = '$iothub/methods/POST/#'

/** A client and what it is sent. */
function open(version: Version, connect: Parameters<typeof rawConnect>[1] = {}) {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  connection.onChunk(rawConnect(version, connect))
  const session = fixture.edge.sessions.get('d1') as Session
  const own = version === 5 ? bytes(0) : bytes()
  const packets = (): Packet[] => {
    const found: Packet[] = []
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (parsed) => found.push(parsed))
    parser.parse(transport.bytes)
    return found
  }
  const outcomes: Outcome[] = []
  return {
    connection,
    transport,
    session,
    packets,
    published: () => packets().filter((found): found is IPublishPacket => found.cmd === 'publish'),
    subscribe: (id: number, ...filters: readonly (readonly [filter: string, options: number])[]) =>
      connection.onChunk(
        packet(0x82, twoBytes(id), own, ...filters.flatMap(([filter, bits]) => [text(filter), bytes(bits)])),
      ),
    unsubscribe: (id: number, ...filters: readonly string[]) =>
      connection.onChunk(packet(0xa2, twoBytes(id), own, ...filters.map((filter) => text(filter)))),
    acknowledge: (id: number) => connection.onChunk(packet(0x40, twoBytes(id))),
    outcomes,
    send: (body: string, isRepeated = false) => {
      const maps = { systemProperties: new Map(), applicationProperties: new Map() }
      const command = { feed: 'commands', ...maps, body: Buffer.from(body), isRepeated } as const
      void session.send(command).then((outcome) => outcomes.push(outcome))
    },
  }
}

describe.each([4, 5] as const)('to a client of MQTT level %i', (version) => {
  const refusal = version === 5 ? 0x87 : 0x80

  test('SUBACK has the packet id of its SUBSCRIBE and a code for each filter, in their order [MQTT-3.8.4-1] [MQTT-3.8.4-2] [MQTT-3.8.4-5] [MQTT-3.8.4-6] [MQTT-3.9.3-1]', () => {
    const { subscribe, packets } = open(version)
    subscribe(0xabcd, [commandFilter, 1], ['other', 0], [methodFilter, 0], [commandFilter, 2])
    expect(packets().slice(1)).toMatchObject([{ cmd: 'suback', messageId: 0xabcd, granted: [1, refusal, 0, 1] }])
  })

  test('a delivery has the lower of the QoS that was sent and the one that was granted [MQTT-3.8.4-8]', () => {
    const { subscribe, send, session, published } = open(version)
    subscribe(1, [commandFilter, 0], [methodFilter, 1])
    send('with 0')
    void session.send({ feed: 'methods', name: 'm', requestId: '1', body: Buffer.alloc(0) })
    subscribe(2, [commandFilter, 1])
    send('with 1')
    expect(published().map(({ qos }) => qos)).toEqual([0, 0, 1])
  })

  test('a filter that is subscribed to again replaces the subscription: each message comes once [MQTT-3.8.4-3]', () => {
    const { subscribe, send, published } = open(version)
    subscribe(1, [commandFilter, 1], [commandFilter, 1])
    subscribe(2, [commandFilter, 0])
    send('once')
    expect(published()).toMatchObject([{ qos: 0, payload: Buffer.from('once') }])
  })

  test('UNSUBSCRIBE ends it, a packet id for a packet id; what was under way is still settled [MQTT-3.10.4-2] [MQTT-3.10.4-3] [MQTT-3.10.4-4]', async () => {
    const { subscribe, unsubscribe, send, acknowledge, published, packets, outcomes } = open(version)
    subscribe(1, [commandFilter, 1])
    send('before')
    unsubscribe(0x1234, commandFilter)
    send('after')
    expect(packets().at(-1)).toMatchObject({ cmd: 'unsuback', messageId: 0x1234 })
    acknowledge(published()[0]?.messageId ?? 0)
    await new Promise((resolve) => setImmediate(resolve))
    expect([published().length, outcomes]).toEqual([1, ['notSubscribed', 'acknowledged']])
  })

  test('nothing is retained: RETAIN is 0, and a new subscription brings nothing that was sent before [MQTT-3.3.1-9] [MQTT-3.3.1-12]', () => {
    const { connection, subscribe, send, published } = open(version)
    const own = version === 5 ? bytes(0) : bytes()
    connection.onChunk(packet(0x31, text('free/topic'), own, text('kept?')))
    subscribe(1, [commandFilter, 1])
    expect(published()).toEqual([])
    send('new')
    expect(published()).toMatchObject([{ retain: false }])
  })

  test('packet ids are never 0, and none is used twice while it is under way [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT-2.3.1-4]', () => {
    const { transport, subscribe, send, acknowledge } = open(version)
    subscribe(1, [commandFilter, 1])
    const sent = (body: string): number => {
      send(body)
      return packetIdOf(transport.written.at(-1) ?? bytes(), version)
    }
    const kept = sent('stays under way')
    const others = new Set<number>()
    for (let each = 0; each < 0xfffe; each++) {
      const id = sent('x')
      others.add(id)
      acknowledge(id)
    }
    expect([others.size, others.has(0), others.has(kept)]).toEqual([0xfffe, false, false])
  })

  test('DUP is set where a message was sent before, and only with QoS 1 [MQTT-3.3.1-1] [MQTT-3.3.1-2] [MQTT-3.3.1-3]', () => {
    const { subscribe, send, published } = open(version)
    subscribe(1, [commandFilter, 1])
    send('first')
    send('again', true)
    subscribe(2, [commandFilter, 0])
    send('again, QoS 0', true)
    expect(published().map(({ dup, qos }) => [dup, qos])).toEqual([
      [false, 1],
      [true, 1],
      [false, 0],
    ])
  })

  test('messages of one topic keep their order, through the window [MQTT-4.6.0-5] [MQTT-4.6.0-6]', () => {
    const { subscribe, send, published, acknowledge } = open(version)
    subscribe(1, [commandFilter, 1])
    const count = limits.deliveriesUnderWayMax * 3
    for (let each = 0; each < count; each++) send(String(each))
    for (let each = 0; each < count; each++) acknowledge(published()[each]?.messageId ?? 0)
    expect(published().map(({ payload }) => Number(payload))).toEqual(Array.from({ length: count }, (_, each) => each))
  })

  test.each([
    ['PUBREC', 0x50],
    ['PUBREL', 0x62],
    ['PUBCOMP', 0x70],
  ])(
    '%s answers nothing that was sent, so it ends the connection; what was under way is not taken for delivered [MQTT-4.13.1-1]',
    async (_name, first) => {
      const { connection, transport, subscribe, send, published, outcomes } = open(version)
      subscribe(1, [commandFilter, 1])
      send('c')
      connection.onChunk(packet(first, twoBytes(published()[0]?.messageId ?? 1)))
      expect(transport.ended).toBe(true)
      connection.onClosed()
      await new Promise((resolve) => setImmediate(resolve))
      expect(outcomes).toEqual(['lost'])
    },
  )

  test('a PUBACK of what is not under way changes nothing', async () => {
    const { subscribe, send, published, acknowledge, outcomes, transport } = open(version)
    subscribe(1, [commandFilter, 1])
    send('c')
    const id = published()[0]?.messageId ?? 0
    acknowledge((id % 0xffff) + 1)
    await new Promise((resolve) => setImmediate(resolve))
    expect([outcomes, transport.ended]).toEqual([[], false])
    acknowledge(id)
    acknowledge(id)
    await new Promise((resolve) => setImmediate(resolve))
    expect([outcomes, transport.ended]).toEqual([['acknowledged'], false])
  })
})

describe('to a client of MQTT 5.0', () => {
  test.each([
    ['No Local: nothing that a client publishes goes to clients [MQTT-3.8.3-3]', 0x04],
    ['Retain As Published: there is nothing retained [MQTT-3.3.1-13]', 0x08],
    ['Retain Handling 1 [MQTT-3.3.1-10]', 0x10],
    ['Retain Handling 2 [MQTT-3.3.1-11]', 0x20],
    ['all of them', 0x2c],
  ])('a subscription with %s', (_what, options) => {
    const { connection, subscribe, send, packets, published } = open(5)
    subscribe(1, [commandFilter, options | 1])
    expect(packets().at(-1)).toMatchObject({ cmd: 'suback', granted: [1] })
    connection.onChunk(packet(0x30, text('free/topic'), bytes(0), text('own')))
    send('c')
    expect(published()).toMatchObject([{ payload: Buffer.from('c'), retain: false, qos: 1 }])
  })

  test('no more is under way than its Receive Maximum, which PUBACKs give back [MQTT-3.3.4-9] [MQTT-4.9.0-2]', () => {
    const { subscribe, send, published, acknowledge } = open(5, { properties: properties(property(0x21, twoBytes(3))) })
    subscribe(1, [commandFilter, 1])
    for (let each = 0; each < 9; each++) send(String(each))
    for (let settled = 0; settled <= 6; settled++) {
      expect(published().length).toBe(3 + settled)
      acknowledge(published()[settled]?.messageId ?? 0)
    }
  })

  test('the window does not keep messages of QoS 0 [MQTT-4.9.0-2]', async () => {
    const { subscribe, send, session, published } = open(5, { properties: properties(property(0x21, twoBytes(1))) })
    subscribe(1, [commandFilter, 1], [methodFilter, 0])
    send('fills it')
    send('waits')
    expect(await session.send({ feed: 'methods', name: 'm', requestId: '1', body: Buffer.alloc(0) })).toBe('sent')
    expect(published().map(({ qos }) => qos)).toEqual([1, 0])
  })

  test('UNSUBACK says of each filter whether there was a subscription [MQTT-3.11.3-1] [MQTT-3.11.3-2] [MQTT-3.10.4-5]', () => {
    const { subscribe, unsubscribe, packets } = open(5)
    subscribe(1, [commandFilter, 1])
    unsubscribe(2, methodFilter, commandFilter, commandFilter, 'a#')
    expect(packets().at(-1)).toMatchObject({ cmd: 'unsuback', messageId: 2, granted: [0x11, 0, 0x11, 0x8f] })
  })
})

function packetIdOf(frame: Buffer, protocolVersion: Version): number {
  let found = 0
  const parser = mqttPacket.parser({ protocolVersion })
  parser.on('packet', ({ messageId = 0 }) => {
    found = messageId
  })
  parser.parse(frame)
  return found
}
