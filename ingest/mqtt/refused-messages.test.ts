import { expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { unlimitedDevice, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

function open(version: 4 | 5) {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  connection.onChunk(rawConnect(version))
  const connackBytes = transport.bytes.length
  return { fixture, connection, transport, answers: () => transport.bytes.subarray(connackBytes).toString('hex') }
}

interface Message {
  readonly id: number
  readonly topic?: string
  readonly alias?: number
  readonly body?: string | Buffer
}

/** QoS 1, or 0 for packet id 0. */
function publish(version: 4 | 5, { id, topic = 'devices/d1/messages/events/', alias, body = 'x' }: Message): Buffer {
  const own = alias === undefined ? bytes(0) : properties(property(0x23, twoBytes(alias)))
  const parts = [
    text(topic),
    ...(id === 0 ? [] : [twoBytes(id)]),
    ...(version === 5 ? [own] : []),
    Buffer.from(body as string),
  ]
  return packet(id === 0 ? 0x30 : 0x32, ...parts)
}

const puback = (id: number, reason = 0) =>
  Buffer.concat([bytes(0x40, reason === 0 ? 2 : 3), twoBytes(id), bytes(...(reason === 0 ? [] : [reason]))]).toString(
    'hex',
  )

const cases = [
  ['a topic of another device [G-6]', { topic: 'devices/d2/messages/events/' }, 0x87],
  ['a topic of a module [G-6]', { topic: 'devices/d1/modules/m/messages/events/' }, 0x87],
  ['a topic that begins with $', { topic: '$SYS/x' }, 0x90],
  ['a topic below devices/ that is none for telemetry', { topic: 'devices/d1/other' }, 0x90],
  ['a broken percent-encoding', { topic: 'devices/d1/messages/events/a=%zz' }, 0x90],
  ['a topic above its limit', { topic: 'x'.repeat(limits.topicBytesMax + 1) }, 0x90],
  ['a body above its limit', { body: Buffer.alloc(limits.bodyBytesMax + 1) }, 0x97],
] as const

test.each(cases)(
  '%s: the reason comes in the PUBACK of 5.0, in its turn, and the session goes on [MQTT-3.4.2-1] [MQTT-4.6.0-2]',
  async (_what, message, reason) => {
    const { fixture, connection, transport, answers } = open(5)
    connection.onChunk(publish(5, { id: 1, ...message }))
    expect(answers()).toBe(puback(1, reason))
    connection.onChunk(Buffer.concat([publish(5, { id: 2 }), publish(5, { id: 3, ...message }), publish(5, { id: 4 })]))
    expect(answers()).toBe(puback(1, reason))
    await fixture.settle()
    expect(answers()).toBe(puback(1, reason) + puback(2) + puback(3, reason) + puback(4))
    expect(transport.ended).toBe(false)
    expect(fixture.log.envelopes().length).toBe(2)
    expect(fixture.count('penstock_edge_messages_refused_total')).toBe(2)
    expect(fixture.count('penstock_edge_connections_closed_total')).toBe(0)
  },
)

test.each(cases)(
  '%s: of QoS 0, and of 3.1.1, nobody would hear of it, so the connection ends',
  async (_what, message, reason) => {
    const recent = open(5)
    recent.connection.onChunk(publish(5, { id: 0, ...message }))
    expect(recent.transport.ended).toBe(true)
    expect(recent.transport.written.at(-1)?.[2]).toBe(reason)
    for (const id of [0, 1]) {
      const { fixture, connection, transport, answers } = open(4)
      connection.onChunk(publish(4, { id, ...message }))
      expect([transport.ended, answers()]).toEqual([true, ''])
      await fixture.settle()
      expect(fixture.log.envelopes()).toEqual([])
    }
  },
)

test.each([
  ['another device', { topic: 'devices/d2/messages/events/' }, 0x87, []],
  ['too long', { topic: 'x'.repeat(65_000) }, 0x90, []],
  ['its own, with a body above its limit', { body: Buffer.alloc(limits.bodyBytesMax + 1) }, 0x97, ['y']],
] as const)('a refused message sets its topic alias all the same: %s', async (_what, message, reason, stored) => {
  const { fixture, connection, transport, answers } = open(5)
  connection.onChunk(publish(5, { id: 1, alias: 1, ...message }))
  connection.onChunk(publish(5, { id: 2, topic: '', alias: 1, body: 'y' }))
  await fixture.settle()
  expect(transport.ended).toBe(false)
  expect(answers()).toBe(puback(1, reason) + puback(2, stored.length === 0 ? reason : 0))
  expect(fixture.log.envelopes().map(({ body }) => String(body))).toEqual(stored)
})

test.each([
  ['a wildcard [MQTT-3.3.2-2]', { topic: 'a/+' }, 0x81],
  ['an alias that was never set', { topic: '', alias: 3 }, 0x94],
  ['a packet above its limit', { body: Buffer.alloc(limits.packetBytesMax) }, 0x95],
] as const)('a packet that breaks the protocol ends the session, with QoS 1 too: %s', (_what, message, reason) => {
  const { connection, transport } = open(5)
  connection.onChunk(publish(5, { id: 1, ...message }))
  expect([transport.ended, transport.written.at(-1)?.[2]]).toEqual([true, reason])
})

test('refused messages count against the quota of their device as others do', () => {
  const quotas = { ...unlimitedQuotas, device: { ...unlimitedDevice, messagesPerSecond: 10 } }
  const { connect } = edgeFixture({ quotas, clock: virtualClock(1_700_000_000_000) })
  const { connection, transport } = connect()
  connection.onChunk(rawConnect(5))
  const refused = (id: number) => publish(5, { id, topic: 'devices/d2/messages/events/' })
  connection.onChunk(refused(1))
  expect(transport.paused).toBe(false)
  connection.onChunk(Buffer.concat(Array.from({ length: 100 }, (_, index) => refused(2 + index))))
  expect([transport.paused, transport.ended]).toEqual([true, false])
})
