/** What is sent to a client, as it sees it: packets of a connection with a fake far end. */
import mqttPacket, { type IPublishPacket, type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { CommandDelivery, Delivery, Outcome } from '#ingest/session/delivery.ts'
import type { Session } from '#ingest/session/session.ts'
import { limits } from '#schemas/limits.ts'
import { bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

type Version = 4 | 5

const none = bytes()

function open(version: Version, connect: Parameters<typeof rawConnect>[1] = {}) {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  connection.onChunk(rawConnect(version, connect))
  const session = fixture.edge.sessions.get(String(connect.clientId ?? 'd1')) as Session
  const packets = (): Packet[] => {
    const found: Packet[] = []
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (parsed) => found.push(parsed))
    parser.parse(transport.bytes)
    return found
  }
  const published = (): IPublishPacket[] => packets().filter((found) => found.cmd === 'publish')
  const subscribe = (filter: string, qos: number) => {
    const own = version === 5 ? bytes(0) : none
    connection.onChunk(packet(0x82, twoBytes(7), own, text(filter), bytes(qos)))
  }
  const acknowledge = (id: number, ...rest: readonly number[]) =>
    connection.onChunk(packet(0x40, twoBytes(id), bytes(...rest)))
  const settled: [string, Outcome][] = []
  const send = (delivery: Delivery): void => {
    void session.send(delivery).then((outcome) => settled.push([String(Buffer.from(delivery.body)), outcome]))
  }
  return { fixture, connection, transport, session, packets, published, subscribe, acknowledge, settled, send }
}

const commandFilter = 'devices/d1/messages/devicebound/#'

function command(body: string, more: Partial<CommandDelivery> = {}): CommandDelivery {
  return {
    feed: 'commands',
    systemProperties: new Map(),
    applicationProperties: new Map(),
    body: Buffer.from(body),
    isRepeated: false,
    ...more,
  }
}

const tick = () => new Promise((resolve) => setImmediate(resolve))

describe.each([4, 5] as const)('deliveries over MQTT level %i', (version) => {
  test('need a subscription, which ends with UNSUBSCRIBE', async () => {
    const { connection, session, subscribe, published } = open(version)
    const method = { feed: 'methods', name: 'blink', requestId: 'af', body: Buffer.from('{}') } as const
    expect(await session.send(method)).toBe('notSubscribed')
    subscribe('$iothub/methods/POST/#', 1)
    expect([session.listensTo('methods'), session.listensTo('desired')]).toEqual([true, false])
    expect(await session.send(method)).toBe('sent')
    expect(published()).toMatchObject([{ topic: '$iothub/methods/POST/blink/?$rid=af', qos: 0, retain: false }])
    connection.onChunk(packet(0xa2, twoBytes(8), version === 5 ? bytes(0) : none, text('$iothub/methods/POST/#')))
    expect(await session.send(method)).toBe('notSubscribed')
  })

  test('have the topics of the hub', async () => {
    const { session, subscribe, published } = open(version)
    for (const filter of [commandFilter, '$iothub/twin/res/#', '$iothub/twin/PATCH/properties/desired/#'])
      subscribe(filter, 0)
    const body = Buffer.from('b')
    const systemProperties = new Map([
      ['mid', 'm-1'],
      ['to', '/devices/d1/messages/devicebound'],
      ['cid', ''],
    ])
    const applicationProperties = new Map([['k 1', 'v &=/%é']])
    await session.send(command('c', { systemProperties, applicationProperties }))
    await session.send({ feed: 'twinAnswers', requestId: '7', status: 204, version: 3, body: new Uint8Array(0) })
    await session.send({ feed: 'twinAnswers', requestId: '8', status: 200, version: undefined, body })
    await session.send({ feed: 'desired', version: 9, body })
    expect(published().map(({ topic }) => topic)).toEqual([
      'devices/d1/messages/devicebound/%24.mid=m-1&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&%24.cid=&k%201=v%20%26%3D%2F%25%C3%A9',
      '$iothub/twin/res/204/?$rid=7&$version=3',
      '$iothub/twin/res/200/?$rid=8',
      '$iothub/twin/PATCH/properties/desired/?$version=9',
    ])
  })

  test('with QoS 1 leave in order, as many as the window allows, and are settled by PUBACK', async () => {
    const { subscribe, published, acknowledge, settled, send } = open(version)
    subscribe(commandFilter, 2)
    const windowMax = limits.deliveriesUnderWayMax
    for (let index = 0; index < windowMax + 2; index++) send(command(`c${index}`, { isRepeated: index === 1 }))
    expect(published().length).toBe(windowMax)
    const sent = () => published().map(({ payload, dup, qos }) => [String(payload), dup, qos])
    expect(sent().slice(0, 3)).toEqual([
      ['c0', false, 1],
      ['c1', true, 1],
      ['c2', false, 1],
    ])
    const ids = published().map(({ messageId }) => messageId as number)
    expect(new Set(ids).size).toBe(windowMax)
    expect(ids).not.toContain(0)
    acknowledge(ids[1] as number)
    acknowledge(ids[0] as number)
    acknowledge(ids[0] as number)
    await tick()
    expect(settled).toEqual([
      ['c1', 'acknowledged'],
      ['c0', 'acknowledged'],
    ])
    expect(sent().slice(windowMax)).toEqual([
      [`c${windowMax}`, false, 1],
      [`c${windowMax + 1}`, false, 1],
    ])
  })

  test('that wait do not keep methods waiting, and are settled when the connection ends', async () => {
    const { connection, session, subscribe, published, settled, send } = open(version)
    subscribe(commandFilter, 1)
    subscribe('$iothub/methods/POST/#', 0)
    const count = limits.deliveriesUnderWayMax + 1
    for (let index = 0; index < count; index++) send(command(`c${index}`))
    expect(await session.send({ feed: 'methods', name: 'x', requestId: '1', body: Buffer.alloc(0) })).toBe('sent')
    expect(published().at(-1)?.topic).toBe('$iothub/methods/POST/x/?$rid=1')
    connection.onClosed()
    await tick()
    expect(settled.filter(([, outcome]) => outcome === 'lost').length).toBe(count - 1)
    expect(settled.at(-1)).toEqual([`c${count - 1}`, 'gone'])
    expect(await session.send(command('late'))).toBe('gone')
  })

  test('have a bound, by number and by bytes', async () => {
    const { subscribe, send, settled } = open(version)
    subscribe(commandFilter, 1)
    const count = limits.deliveriesUnderWayMax + limits.deliveriesWaitingMax
    for (let index = 0; index < count + 1; index++) send(command(`c${index}`))
    await tick()
    expect(settled).toEqual([[`c${count}`, 'full']])
    const large = open(version)
    large.subscribe(commandFilter, 1)
    for (let index = 0; index < limits.deliveriesUnderWayMax; index++) large.send(command('x'))
    const body = Buffer.alloc(limits.deliveriesWaitingBytesMax / 4)
    const outcomes: Outcome[] = []
    for (let index = 0; index < 4; index++)
      void large.session.send({ ...command(''), body }).then((outcome) => outcomes.push(outcome))
    await tick()
    expect(outcomes).toEqual(['full'])
  })

  test('wait for a client that does not read; what cannot wait is not written [G-9]', async () => {
    const { connection, transport, session, subscribe, published, send } = open(version)
    subscribe(commandFilter, 1)
    subscribe('$iothub/methods/POST/#', 0)
    transport.writeBytes = limits.socketWriteBytesMax + 1
    send(command('c'))
    expect(await session.send({ feed: 'methods', name: 'x', requestId: '1', body: Buffer.alloc(0) })).toBe('full')
    expect(published()).toEqual([])
    transport.writeBytes = 0
    connection.onDrained()
    expect(published().map(({ payload }) => String(payload))).toEqual(['c'])
  })

  test('go to the device that listens, and to no other [G-6]', () => {
    const { connection, session, packets } = open(version, { clientId: 'd1/m1' })
    const ask = (filter: string) =>
      connection.onChunk(packet(0x82, twoBytes(7), version === 5 ? bytes(0) : none, text(filter), bytes(1)))
    ask('devices/d1/modules/m1/messages/devicebound/#')
    expect(packets().at(-1)).toMatchObject({ cmd: 'suback', granted: [1] })
    expect(session.listensTo('commands')).toBe(true)
    for (const filter of ['#', '$iothub/#', '$iothub/methods/POST/x/#', '$iothub/twin/#', '+/d1/#']) {
      ask(filter)
      expect(packets().at(-1), filter).toMatchObject({ cmd: 'suback', granted: [version === 5 ? 0x87 : 0x80] })
    }
  })
})

describe('deliveries over MQTT 5.0', () => {
  test('keep to what the client takes: its Receive Maximum [MQTT-3.3.4-9] and its Maximum Packet Size [MQTT-3.1.2-24]', async () => {
    const client = properties(property(0x21, twoBytes(2)), property(0x27, bytes(0, 0, 0, 100)))
    const { session, subscribe, published, send } = open(5, { properties: client })
    subscribe(commandFilter, 1)
    expect(await session.send(command('x'.repeat(100)))).toBe('tooLarge')
    for (let index = 0; index < 3; index++) send(command(`c${index}`))
    expect(published().length).toBe(2)
  })

  test.each([
    ['no more to say', [], 'acknowledged'],
    ['nobody who wants it', [0x10], 'acknowledged'],
    ['no wish for it', [0x87], 'rejected'],
    ['a reason in words', [0x80, 4, 0x1f, 0, 1, 0x61], 'rejected'],
  ] as const)('are settled by a PUBACK with %s', async (_what, rest, outcome) => {
    const { subscribe, published, acknowledge, settled, send } = open(5)
    subscribe(commandFilter, 1)
    send(command('c'))
    acknowledge(published()[0]?.messageId as number, ...rest)
    await tick()
    expect(settled).toEqual([['c', outcome]])
  })

  test.each([
    ['packet id 0 [MQTT-2.3.1-1]', packet(0x40, twoBytes(0)), 0x81],
    ['reserved bits', packet(0x41, twoBytes(1)), 0x81],
    ['a reason that it does not have [MQTT-3.4.2-1]', packet(0x40, twoBytes(1), bytes(0x92)), 0x82],
    ['bytes behind its end', packet(0x40, twoBytes(1), bytes(0, 0, 0)), 0x81],
    ['a property of others', packet(0x40, twoBytes(1), bytes(0, 3, 0x23, 0, 1)), 0x81],
  ])('a PUBACK with %s ends the connection', (_what, frame, reason) => {
    const { connection, subscribe, send, packets } = open(5)
    subscribe(commandFilter, 1)
    send(command('c'))
    connection.onChunk(frame)
    expect(packets().at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: reason })
  })
})
