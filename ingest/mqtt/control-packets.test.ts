import mqttPacket, { type Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { brokenTexts, bytes, packet, properties, property, rawConnect, text, twoBytes } from './raw-packets-fixture.ts'

type Version = 4 | 5

function open(version: Version, connect: Parameters<typeof rawConnect>[1] = {}) {
  const fixture = edgeFixture()
  const { connection, transport } = fixture.connect()
  connection.onChunk(rawConnect(version, connect))
  expect(transport.ended).toBe(false)
  const connack = transport.written.length
  const answers = (): Packet[] => {
    const packets: Packet[] = []
    const parser = mqttPacket.parser({ protocolVersion: version })
    parser.on('packet', (parsed) => packets.push(parsed))
    parser.parse(Buffer.concat(transport.written.slice(connack)))
    return packets
  }
  return { fixture, connection, transport, answers }
}

const none = bytes(0)
/** The part that 5.0 has alone. */
const own = (version: Version, given: Buffer = none) => (version === 5 ? given : bytes())
const subscribe = (version: Version, filters: readonly Buffer[], given?: Buffer) =>
  packet(0x82, twoBytes(7), own(version, given), ...filters)
const filter = (content: string | Buffer, options = 0) => Buffer.concat([text(content), bytes(options)])

describe('what an open connection may send', () => {
  test.each([
    ['SUBSCRIBE without its reserved bits [MQTT-3.8.1-1]', 0x80, [filter('a')], 0x81],
    ['SUBSCRIBE with packet id 0 [MQTT-2.3.1-1]', 0x82, 'id 0', 0x81],
    ['SUBSCRIBE without a filter [MQTT-3.8.3-2]', 0x82, [], 0x82],
    ['SUBSCRIBE without options', 0x82, [text('a')], 0x81],
    ['SUBSCRIBE with bytes behind its last filter', 0x82, [filter('a'), bytes(0)], 0x81],
    ['SUBSCRIBE with reserved options [MQTT-3.8.3-5]', 0x82, [filter('a', 0x40)], 0x81],
    ['SUBSCRIBE with QoS 3 [MQTT-3.8.3-4]', 0x82, [filter('a', 0x03)], 0x82],
    ...brokenTexts.map(([what, broken]) => [`SUBSCRIBE with ${what}`, 0x82, [filter(broken)], 0x81] as const),
    ['UNSUBSCRIBE without its reserved bits [MQTT-3.10.1-1]', 0xa0, [text('a')], 0x81],
    ['UNSUBSCRIBE with packet id 0 [MQTT-2.3.1-1]', 0xa2, 'id 0', 0x81],
    ['UNSUBSCRIBE without a filter [MQTT-3.10.3-2]', 0xa2, [], 0x82],
    ['UNSUBSCRIBE that is cut short', 0xa2, [bytes(0, 2, 0x61)], 0x81],
    ...brokenTexts.map(([what, broken]) => [`UNSUBSCRIBE with ${what}`, 0xa2, [text(broken)], 0x81] as const),
  ] as const)('%s ends the connection', (_what, first, filters, reason) => {
    for (const version of [4, 5] as const) {
      const { connection, transport, answers } = open(version)
      const list = filters === 'id 0' ? [first === 0x82 ? filter('a') : text('a')] : filters
      connection.onChunk(packet(first, twoBytes(filters === 'id 0' ? 0 : 7), own(version), ...list))
      expect(transport.ended).toBe(true)
      expect(answers()).toMatchObject(version === 5 ? [{ cmd: 'disconnect', reasonCode: reason }] : [])
    }
  })

  test.each([
    ['retain handling 3', [filter('a', 0x30)], none, 0x82],
    ['no local on a shared filter [MQTT-3.8.3-4]', [filter('$share/g/a', 0x04)], none, 0x82],
    ['subscription identifier 0', [filter('a')], properties(property(0x0b, bytes(0))), 0x82],
    [
      'two subscription identifiers',
      [filter('a')],
      properties(property(0x0b, bytes(1)), property(0x0b, bytes(1))),
      0x82,
    ],
    ['a topic alias', [filter('a')], properties(property(0x23, bytes(0, 1))), 0x81],
  ])('SUBSCRIBE of 5.0 with %s ends the connection', (_what, filters, given, reason) => {
    const { connection, transport, answers } = open(5)
    connection.onChunk(subscribe(5, filters, given))
    expect([transport.ended, answers()]).toMatchObject([true, [{ reasonCode: reason }]])
  })

  test('a filter that is none is told so in its place, and the connection goes on [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1]', () => {
    const broken = [
      '',
      'a#',
      'a/#/b',
      '#/',
      'a+',
      '+a/b',
      'a/+b',
      '$share/g',
      '$share/g/',
      '$share//a',
      '$share/a+/b',
      '$share/a#/b',
    ]
    const sound = ['a', '/', '+', '#', '+/a/#', 'a/+/b', '$SYS/#', '/'.repeat(60_000)]
    const filters = [...broken, ...sound, '$share/g/$share/a/#']
    const { connection, transport, answers } = open(5)
    connection.onChunk(
      subscribe(
        5,
        filters.map((each) => filter(each, 1)),
      ),
    )
    connection.onChunk(packet(0xa2, twoBytes(8), none, ...filters.map((each) => text(each))))
    expect(answers()).toMatchObject([
      { cmd: 'suback', messageId: 7, granted: [...broken.map(() => 0x8f), ...sound.map(() => 0x87), 0x9e] },
      { cmd: 'unsuback', messageId: 8, granted: [...broken.map(() => 0x8f), ...sound.map(() => 0x11), 0x11] },
    ])
    expect(transport.ended).toBe(false)
    const old = open(4)
    old.connection.onChunk(
      subscribe(
        4,
        filters.map((each) => filter(each, 2)),
      ),
    )
    expect(old.answers()).toMatchObject([{ cmd: 'suback', granted: filters.map(() => 0x80) }])
  })

  test('a shared filter names a group and a filter [MQTT-4.8.2-1] [MQTT-4.8.2-2]; a subscription identifier is not offered', () => {
    const { connection, answers } = open(5)
    connection.onChunk(subscribe(5, [filter('$share/g/a'), filter('$share/g')]))
    connection.onChunk(subscribe(5, [filter('a'), filter('')], properties(property(0x0b, bytes(1)))))
    expect(answers()).toMatchObject([{ granted: [0x9e, 0x8f] }, { granted: [0xa1, 0x8f] }])
  })

  test('an answer longer than the client takes is not sent [MQTT-3.1.2-24]', () => {
    const packetBytesMax = 200
    const connect = { properties: properties(property(0x27, bytes(0, 0, 0, packetBytesMax))) }
    const filters = Array.from({ length: packetBytesMax }, () => 'a')
    const many = [
      subscribe(
        5,
        filters.map((each) => filter(each)),
      ),
      packet(0xa2, twoBytes(8), none, ...filters.map((each) => text(each))),
    ]
    for (const frame of many) {
      const { connection, transport, answers } = open(5, connect)
      connection.onChunk(frame)
      expect(answers()).toMatchObject([{ cmd: 'disconnect', reasonCode: 0x95 }])
      expect(Math.max(...transport.written.map(({ length }) => length))).toBeLessThanOrEqual(packetBytesMax)
    }
  })

  test.each([
    ['PUBREL without its reserved bits [MQTT-3.6.1-1]', packet(0x60, twoBytes(1)), 0x81],
    ['PUBREL', packet(0x62, twoBytes(1)), 0x82],
    ['PUBACK', packet(0x40, twoBytes(1)), 0x82],
    ['PUBACK with reserved bits', packet(0x44, twoBytes(1)), 0x81],
    ['PUBREC', packet(0x50, twoBytes(1)), 0x82],
    ['PUBCOMP', packet(0x70, twoBytes(1)), 0x82],
    ['CONNACK', packet(0x20, twoBytes(0)), 0x82],
    ['SUBACK', packet(0x90, twoBytes(1), bytes(0, 0)), 0x82],
    ['UNSUBACK', packet(0xb0, twoBytes(1), bytes(0, 0)), 0x82],
    ['PINGRESP', packet(0xd0), 0x82],
    ['AUTH, which was not agreed on', packet(0xf0, bytes(0x18)), 0x82],
    ['AUTH with reserved bits [MQTT-3.15.1-1]', packet(0xf1, bytes(0x18)), 0x81],
    ['packet type 0', packet(0x00), 0x81],
    ['PINGREQ with reserved bits', packet(0xc1), 0x81],
    ['PINGREQ with a body', packet(0xc0, bytes(0)), 0x81],
    ['a second CONNECT [MQTT-3.1.0-2]', rawConnect(5), 0x82],
  ])('%s ends the connection', (_what, frame, reason) => {
    const { connection, transport, answers } = open(5)
    connection.onChunk(frame)
    expect([transport.ended, answers()]).toMatchObject([true, [{ cmd: 'disconnect', reasonCode: reason }]])
    const old = open(4)
    old.connection.onChunk(frame)
    expect([old.transport.ended, old.answers()]).toEqual([true, []])
  })

  const willed = { flags: 0x06, rest: [none, text('w'), text('bye')] }
  const told = properties(property(0x1f, text('tired')), property(0x11, bytes(0, 0, 0, 0)))
  test.each([
    ['nothing', packet(0xe0), 'no will'],
    ['normal disconnection', packet(0xe0, bytes(0)), 'no will'],
    ['normal disconnection and no properties', packet(0xe0, bytes(0, 0)), 'no will'],
    ['properties', packet(0xe0, bytes(0), told), 'no will'],
    ['the wish for its will [MQTT-3.14.4-3]', packet(0xe0, bytes(4)), 'will'],
    ['an error of its own [MQTT-3.1.2-10]', packet(0xe0, bytes(0x80)), 'will'],
    ['reserved bits [MQTT-3.14.1-1]', packet(0xe1), 0x81],
    ['a reason that no client has [MQTT-3.14.2-1]', packet(0xe0, bytes(0x8e)), 0x82],
    ['a reason that nobody has [MQTT-3.14.2-1]', packet(0xe0, bytes(0x03)), 0x82],
    ['a property of a server', packet(0xe0, bytes(0), properties(property(0x1c, text('a')))), 0x81],
    [
      'a property twice',
      packet(0xe0, bytes(0), properties(property(0x1f, text('a')), property(0x1f, text('a')))),
      0x82,
    ],
    ['bytes behind its properties', packet(0xe0, bytes(0, 0, 0)), 0x81],
  ])('DISCONNECT of 5.0 with %s: %s', async (_what, frame, outcome) => {
    const { fixture, connection, transport, answers } = open(5, willed)
    connection.onChunk(frame)
    await fixture.settle()
    expect(transport.ended).toBe(true)
    expect(fixture.log.envelopes().length).toBe(outcome === 'no will' ? 0 : 1)
    expect(answers()).toMatchObject(typeof outcome === 'number' ? [{ reasonCode: outcome }] : [])
  })

  test('DISCONNECT of 3.1.1 has no body: with one it is none, and the will is published', async () => {
    const { fixture, connection } = open(4, { flags: 0x06, rest: [text('w'), text('bye')] })
    connection.onChunk(packet(0xe0, bytes(0)))
    await fixture.settle()
    expect(fixture.log.envelopes().length).toBe(1)
  })
})
