import { generate, type Packet, parser as packetParser } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { admitSocket, socketsMax, waitingMax } from '#ingest/listeners/socket-gate.ts'
import { tickMs } from '#ingest/session/edge-context.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type QuotaOptions, readDeviceQuotas, unlimitedDevice, unlimitedQuotas } from './quota-settings.ts'
import { Quotas } from './quotas.ts'

const startMs = 1_700_000_000_000

function with_(change: Partial<QuotaOptions>): QuotaOptions {
  return { ...unlimitedQuotas, ...change }
}

function turn(clock: VirtualClock, ms: number): void {
  let over = false
  clock.after(ms, () => {
    over = true
  })
  while (!over) clock.step()
}

function connectPacket(version: 4 | 5, clientId = 'd1', password?: string): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId,
    ...(password === undefined ? {} : { username: clientId, password: Buffer.from(password) }),
    clean: true,
    keepalive: 60,
  })
}

function publishes(count: number, version: 4 | 5 = 5, deviceId = 'd1'): Buffer {
  const one = generate(
    {
      cmd: 'publish',
      topic: `devices/${deviceId}/messages/events/`,
      payload: 'x',
      qos: 0,
      dup: false,
      retain: false,
    },
    { protocolVersion: version },
  )
  return Buffer.concat(Array.from({ length: count }, () => one))
}

function packetsIn(bytes: Buffer, version: 4 | 5): Packet[] {
  const packets: Packet[] = []
  const parser = packetParser({ protocolVersion: version })
  parser.on('packet', (packet: Packet) => packets.push(packet))
  parser.parse(bytes)
  return packets
}

describe('quotas of MQTT connections', () => {
  test('over the limit the socket is paused until nothing is owed, and no message is dropped', async () => {
    const clock = virtualClock(startMs)
    const quotas = with_({ device: { ...unlimitedDevice, messagesPerSecond: 10 } })
    const fixture = edgeFixture({ clock, quotas })
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(5))
    connection.onChunk(publishes(10))
    expect(transport.paused).toBe(false)
    connection.onChunk(publishes(30))
    expect(transport.paused).toBe(true)
    turn(clock, 2_999)
    expect(transport.paused).toBe(true)
    turn(clock, 1)
    expect(transport.paused).toBe(false)
    expect(transport.ended).toBe(false)
    expect(fixture.count('penstock_edge_shaped_total')).toBe(1)
    await fixture.settle()
    expect(fixture.log.envelopes()).toHaveLength(40)
  })

  test('what is paused for a quota is not called silent', () => {
    const clock = virtualClock(startMs)
    const fixture = edgeFixture({ clock, quotas: with_({ device: { ...unlimitedDevice, messagesPerSecond: 10 } }) })
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(5))
    connection.onChunk(publishes(200))
    for (let second = 0; second < 100_000; second++) {
      fixture.edge.ticks += 1000 / tickMs
      connection.onSecond(clock.nowMs())
    }
    expect(transport.ended).toBe(false)
  })

  test('bytes are held to their limit as messages are', () => {
    const clock = virtualClock(startMs)
    const fixture = edgeFixture({ clock, quotas: with_({ device: { ...unlimitedDevice, bytesPerSecond: 1_000 } }) })
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(5))
    while (!transport.paused) connection.onChunk(publishes(1))
    expect(fixture.count('penstock_edge_shaped_total')).toBe(1)
  })

  test('a debt that no wait can mend ends an MQTT 5 connection with 0x97, a 3.1.1 one without a word, and keeps them out', () => {
    for (const version of [4, 5] as const) {
      const clock = virtualClock(startMs)
      const fixture = edgeFixture({ clock, quotas: with_({ device: { ...unlimitedDevice, messagesPerSecond: 10 } }) })
      const first = fixture.connect()
      first.connection.onChunk(connectPacket(version))
      first.connection.onChunk(publishes(1_000, version))
      expect(first.transport.ended).toBe(true)
      const last = packetsIn(first.transport.bytes, version).at(-1)
      if (version === 5) expect(last).toMatchObject({ cmd: 'disconnect', reasonCode: 0x97 })
      else expect(last).toMatchObject({ cmd: 'connack' })
      const again = fixture.connect()
      again.connection.onChunk(connectPacket(version))
      expect(packetsIn(again.transport.bytes, version)[0]).toMatchObject(
        version === 5 ? { cmd: 'connack', reasonCode: 0x97 } : { cmd: 'connack', returnCode: 3 },
      )
      turn(clock, 99_000)
      const later = fixture.connect()
      later.connection.onChunk(connectPacket(version))
      expect(later.transport.ended).toBe(false)
    }
  })

  test("one device's debt is never another device's trouble", () => {
    const clock = virtualClock(startMs)
    const fixture = edgeFixture({ clock, quotas: with_({ device: { ...unlimitedDevice, messagesPerSecond: 10 } }) })
    const loud = fixture.connect()
    const quiet = fixture.connect()
    loud.connection.onChunk(connectPacket(5, 'loud'))
    quiet.connection.onChunk(connectPacket(5, 'quiet'))
    loud.connection.onChunk(publishes(100, 5, 'loud'))
    quiet.connection.onChunk(publishes(5, 5, 'quiet'))
    expect([loud.transport.paused, quiet.transport.paused]).toEqual([true, false])
  })

  test("the edge's limit makes senders wait and ends nobody", () => {
    const clock = virtualClock(startMs)
    const edge = { ...unlimitedQuotas.edge, messagesPerSecond: 10 }
    const fixture = edgeFixture({ clock, quotas: with_({ edge }) })
    const sender = fixture.connect()
    const silent = fixture.connect()
    sender.connection.onChunk(connectPacket(5, 'd1'))
    silent.connection.onChunk(connectPacket(5, 'd2'))
    sender.connection.onChunk(publishes(100_000 / 20))
    expect([sender.transport.paused, sender.transport.ended, silent.transport.paused]).toEqual([true, false, false])
    turn(clock, limits.shapingMsMax)
    expect(sender.transport.paused).toBe(false)
  })

  test('a device has its own quota where one is set for it', () => {
    const device = { ...unlimitedDevice, messagesPerSecond: 1 }
    const deviceOverrides = readDeviceQuotas('gateway messages:0 / probe messages:2 bytes:7 connections:3', device)
    expect(deviceOverrides.get('probe')).toEqual({ messagesPerSecond: 2, bytesPerSecond: 7, connectionsPerMinute: 3 })
    const fixture = edgeFixture({ clock: virtualClock(startMs), quotas: with_({ device, deviceOverrides }) })
    const { connection, transport } = fixture.connect()
    connection.onChunk(connectPacket(5, 'gateway'))
    connection.onChunk(publishes(1_000, 5, 'gateway'))
    expect(transport.paused).toBe(false)
    for (const bad of ['a messages:x', 'a tokens:3', 'a / a', 'a messages'])
      expect(() => readDeviceQuotas(bad, device)).toThrow(/PENSTOCK_DEVICE_QUOTAS/)
  })

  test('a quota that changes holds for the open connection from its next chunk on, and for no other device', () => {
    const clock = virtualClock(startMs)
    const deviceOverrides = readDeviceQuotas('d1 bytes:1000000', unlimitedDevice)
    const fixture = edgeFixture({ clock, quotas: with_({ deviceOverrides }) })
    const [one, other] = ['d1', 'd2'].map((clientId) => {
      const client = fixture.connect()
      client.connection.onChunk(connectPacket(5, clientId))
      return (count: number) => {
        client.connection.onChunk(publishes(count, 5, clientId))
        return client.transport.paused
      }
    }) as [(count: number) => boolean, (count: number) => boolean]
    const quota = { bytesPerSecond: undefined, connectionsPerMinute: undefined }
    expect([one(1_000), other(1_000)]).toEqual([false, false])
    fixture.edge.quotas.override([{ deviceId: 'd2', messagesPerSecond: 100, ...quota }])
    expect([one(1_000), other(1_000)]).toEqual([false, true])
    turn(clock, 10_000)
    // A change for another device forgives nothing that this one owes.
    expect(other(150)).toBe(true)
    fixture.edge.quotas.override([
      { deviceId: 'd1', messagesPerSecond: 10, ...quota },
      { deviceId: 'd2', messagesPerSecond: 100, ...quota },
    ])
    turn(clock, 510)
    expect([one(20), other(10)]).toEqual([true, true])
    turn(clock, 60_000)
    fixture.edge.quotas.override([{ deviceId: 'd2', messagesPerSecond: 0, ...quota }])
    expect([one(1_000), other(100_000)]).toEqual([false, false])
    // What the setting says of the device was always its other limit.
    expect(one(50_000)).toBe(true)
  })

  test('a device that connects too often is told 0x9F, or 3; others connect', () => {
    for (const version of [4, 5] as const) {
      const quotas = with_({ device: { ...unlimitedDevice, connectionsPerMinute: 2 } })
      const fixture = edgeFixture({ clock: virtualClock(startMs), quotas })
      const answers = ['d1', 'd1', 'd1', 'd2'].map((clientId) => {
        const { connection, transport } = fixture.connect()
        connection.onChunk(connectPacket(version, clientId))
        return packetsIn(transport.bytes, version)[0]
      })
      const code = version === 5 ? 'reasonCode' : 'returnCode'
      expect(answers[1]).toMatchObject({ [code]: 0 })
      expect(answers[2]).toMatchObject({ [code]: version === 5 ? 0x9f : 3 })
      expect(answers[3]).toMatchObject({ [code]: 0 })
    }
  })

  test('CONNECTs above their rate wait in turn, what they sent behind it too; beyond the wait they are refused', async () => {
    const clock = virtualClock(startMs)
    const edge = { ...unlimitedQuotas.edge, connectionsPerSecond: 1 }
    const fixture = edgeFixture({ clock, quotas: with_({ edge }) })
    const all = Array.from({ length: 9 }, (_, index) => {
      const client = fixture.connect()
      const id = `d${index}`
      client.connection.onChunk(Buffer.concat([connectPacket(5, id), publishes(1, 5, id)]))
      return client.transport
    })
    const accepted = () => all.filter(({ bytes, ended }) => bytes.length > 0 && !ended).length
    // One token and, since a bucket may owe, one CONNECT at the moment it is empty.
    expect(accepted()).toBe(2)
    expect(all.filter(({ ended }) => ended).length).toBe(2)
    turn(clock, limits.connectShapingMsMax)
    expect(accepted()).toBe(7)
    await fixture.settle()
    expect(fixture.log.envelopes()).toHaveLength(7)
    expect(packetsIn(all.at(-1)?.bytes ?? Buffer.alloc(0), 5)[0]).toMatchObject({ cmd: 'connack', reasonCode: 0x9f })
  })

  describe('from where credentials fail too often', () => {
    const answerOf = (transport: { readonly bytes: Buffer }) =>
      (packetsIn(transport.bytes, 5)[0] as { reasonCode?: number } | undefined)?.reasonCode

    /** Whoever sends the password `good` is who it claims to be. */
    function failing(change: Partial<QuotaOptions>, isKnown: (deviceId: string) => boolean) {
      const clock = virtualClock(startMs)
      const fixture = edgeFixture({
        clock,
        isKnown,
        quotas: with_({ failuresPerMinute: { address: 3, deviceAtAddress: 0 }, ...change }),
        authenticate: ({ clientId, password }) => {
          if (password && Buffer.from(password).toString() === 'good')
            return { deviceId: clientId, moduleId: undefined, expiresAtMs: undefined }
          throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
        },
      })
      const connect = (clientId: string, password: string) => {
        const { connection, transport } = fixture.connect()
        connection.onChunk(connectPacket(5, clientId, password))
        return transport
      }
      return { clock, fixture, connect }
    }

    test('bad ones are told to come back later, and good ones get in', () => {
      const { connect } = failing({}, () => true)
      const codes = Array.from({ length: 6 }, () => answerOf(connect('d1', 'bad')))
      expect(codes).toEqual([0x87, 0x87, 0x87, 0x9f, 0x9f, 0x9f])
      expect(answerOf(connect('d1', 'good'))).toBe(0)
      expect(answerOf(connect('d2', 'good'))).toBe(0)
    })

    test('they take no turn among the connections of others; one that got in counts', () => {
      const edge = { ...unlimitedQuotas.edge, connectionsPerSecond: 1 }
      const { clock, fixture, connect } = failing({ edge }, () => true)
      for (let attempt = 0; attempt < 3; attempt++) {
        connect('d1', 'bad')
        turn(clock, 2_000)
      }
      for (let attempt = 0; attempt < 50; attempt++) connect('d1', 'bad')
      expect(fixture.edge.quotas.connectWaitMs()).toBe(0)
      expect(answerOf(connect('d1', 'good'))).toBe(0)
      expect(fixture.edge.quotas.connectWaitMs()).toBeGreaterThan(0)
    })

    test('devices that the edge does not know are looked up in turn; those that it knows are not held', () => {
      const { clock, connect } = failing({}, (deviceId) => deviceId === 'known')
      for (let attempt = 0; attempt < 3; attempt++) connect('d1', 'bad')
      const { failingLookupsPerSecond, connectShapingMsMax } = limits
      for (let stranger = 0; stranger <= failingLookupsPerSecond; stranger++) connect(`s${stranger}`, 'bad')
      const late = connect('new', 'good')
      expect(answerOf(late)).toBeUndefined()
      expect(answerOf(connect('known', 'good'))).toBe(0)
      expect(answerOf(connect('known/module', 'good'))).toBe(0)
      turn(clock, 1_000)
      expect(answerOf(late)).toBe(0)
      // Beyond the wait that clients have patience for, they are told to come back.
      const many = (failingLookupsPerSecond * (connectShapingMsMax + 1_000)) / 1_000
      for (let stranger = 0; stranger <= many; stranger++) connect(`t${stranger}`, 'bad')
      expect(answerOf(connect('newer', 'good'))).toBe(0x9f)
    })
  })
})

describe('sockets that say nothing', () => {
  test('a flood of them makes the longest silent give way and leaves room for CONNECTs [G-4]', () => {
    const fixture = edgeFixture()
    const edge = { ...fixture.edge, connectionsMax: 40 }
    const open = Array.from({ length: 40 }, (_, index) => {
      const client = fixture.connect()
      client.connection.onChunk(connectPacket(5, `d${index}`))
      return client.transport
    })
    for (let flood = 0; flood < 500; flood++) if (admitSocket(edge)) fixture.connect()
    expect(edge.connections.size).toBeLessThanOrEqual(socketsMax(40))
    expect(edge.waiting.size).toBeLessThanOrEqual(waitingMax(40))
    expect(open.every(({ ended }) => !ended)).toBe(true)
    expect(fixture.count('penstock_edge_sockets_refused_total')).toBeGreaterThan(400)
  })
})

describe('quotas of HTTP requests', () => {
  const quotasOf = (clock: VirtualClock, options: Partial<QuotaOptions>) =>
    new Quotas(with_(options), clock, new Metrics<MetricName>(metricsTable))

  test('a request waits for what is owed, and is refused with the time to come back once that is long', () => {
    const clock = virtualClock(startMs)
    const quotas = quotasOf(clock, { device: { ...unlimitedDevice, messagesPerSecond: 10 } })
    expect(quotas.requestWaitMs('d', 20, 1)).toBe(0)
    expect(quotas.requestWaitMs('d', 15, 1)).toBe(1_000)
    expect(() => quotas.requestWaitMs('d', 1, 1)).toThrow(expect.objectContaining({ retryAfterMs: 2_500 }))
    expect(quotas.requestWaitMs('other', 1, 1)).toBe(0)
    turn(clock, 2_500)
    expect(quotas.requestWaitMs('d', 1, 1)).toBe(0)
  })

  test('nothing is kept of devices without a quota, and no more than the limit of those with one', () => {
    const clock = virtualClock(startMs)
    const without = quotasOf(clock, {})
    without.requestWaitMs('d', 1, 1)
    expect(without.deviceCount).toBe(0)
    const many = quotasOf(clock, { device: { ...unlimitedDevice, messagesPerSecond: 1 } })
    for (let device = 0; device < limits.quotaDevicesMax + 500; device++) many.requestWaitMs(`d${device}`, 1, 1)
    expect(many.deviceCount).toBeLessThanOrEqual(limits.quotaDevicesMax)
  })
})
