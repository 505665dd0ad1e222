import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import { packet, rawConnect, text, twoBytes } from '#ingest/mqtt/raw-packets-fixture.ts'
import { unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { NameRoom } from '#ingest/session/name-room.ts'
import { doubleField, floatField, numberField, textField, withinField } from '#runtime/protobuf/write-fixture.ts'
import { limits } from '#schemas/limits.ts'
import { MetricNames } from './metric-names.ts'
import { payloadRow } from './payload-row.ts'
import { sparkplugTopicOf } from './sparkplug-topic.ts'

interface Sent {
  readonly name?: string
  readonly alias?: number
  readonly datatype?: number
}

const metric = ({ name, alias, datatype }: Sent, ...more: readonly Buffer[]) =>
  withinField(
    2,
    ...(name === undefined ? [] : [textField(1, name)]),
    ...(alias === undefined ? [] : [numberField(2, alias)]),
    ...(datatype === undefined ? [] : [numberField(4, datatype)]),
    ...more,
  )
const payloadOf = (...metrics: readonly Buffer[]) =>
  Buffer.concat([numberField(1, 1_700_000_000_123), ...metrics, numberField(3, 7)])
const [int, long, single, double, flag, word] = [
  (value: number) => numberField(10, value),
  (value: number) => numberField(11, value),
  (value: number) => floatField(12, value),
  (value: number) => doubleField(13, value),
  (value: boolean) => numberField(14, value ? 1 : 0),
  (value: string) => textField(15, value),
]

/** A reader of payloads of one connection. */
function reader(room = new NameRoom()) {
  const refusals = { count: 0 }
  const names = new MetricNames(room, () => void refusals.count++)
  const read = (topic: string, payload: Buffer) => {
    const known = sparkplugTopicOf(topic)
    expect(known, topic).toBeDefined()
    const row = known && payloadRow(known, payload, names)
    return row && JSON.parse(String(row))
  }
  return { room, names, read, refusals }
}

describe('topics of Sparkplug B', () => {
  test.each([
    ['spBv1.0/g/NBIRTH/n', { group: 'g', type: 'NBIRTH', node: 'n', device: undefined }],
    ['spBv1.0/g h/DDATA/n/d', { group: 'g h', type: 'DDATA', node: 'n', device: 'd' }],
  ])('%s is one', (topic, read) => {
    expect(sparkplugTopicOf(topic)).toEqual(read)
  })

  test.each([
    ...['spBv1.0/STATE/host', 'spBv1.0/g/STATE/host', 'spAv1.0/g/NDATA/n', 'spBv1.0/g/NDATA/n/d', 'spBv1.0/g/DDATA/n'],
    ...[
      'spBv1.0/g/DDATA/n/',
      'spBv1.0/g/DDATA/n/d/e',
      'spBv1.0//NDATA/n',
      'spBv1.0/g/NDATA/',
      'spBv1.0',
      'a/spBv1.0/g/NDATA/n',
    ],
  ])('%s is none', (topic) => {
    expect(sparkplugTopicOf(topic)).toBeUndefined()
  })
})

describe('a payload of Sparkplug B', () => {
  test('has its metrics in order, and the last value of each name', () => {
    const { read } = reader()
    const body = payloadOf(
      metric({ name: 'a', datatype: 9 }, numberField(3, 1_700_000_000_001), single(0.1)),
      metric({ name: 'a', datatype: 9 }, single(21.5)),
      metric({ name: 'old', datatype: 10 }, numberField(5, 1), double(1)),
    )
    expect(read('spBv1.0/g/DDATA/n/d', body)).toEqual({
      type: 'DDATA',
      group: 'g',
      node: 'n',
      device: 'd',
      time: '2023-11-14T22:13:20.123Z',
      seq: 7,
      metrics: [
        { name: 'a', type: 'Float', time: '2023-11-14T22:13:20.001Z', value: 0.1 },
        { name: 'a', type: 'Float', value: 21.5 },
        { name: 'old', type: 'Double', historical: true, value: 1 },
      ],
      values: { a: 21.5 },
    })
  })

  test.each([
    ['Int8', 1, int(0xffff_ff80), -128],
    ['Int16', 2, int(0xffff), -1],
    ['Int32', 3, int(0xffff_fffe), -2],
    ['UInt8', 5, int(200), 200],
    ['UInt32', 7, int(4294967295), 4294967295],
    ['Int64', 4, long(2 ** 52), 2 ** 52],
    ['Int64', 4, Buffer.from(`58${'ff'.repeat(9)}01`, 'hex'), -1],
    ['UInt64', 8, Buffer.from(`58${'ff'.repeat(9)}01`, 'hex'), Number('18446744073709551615')],
    ['Float', 9, single(Number.NaN), 'NaN'],
    ['Float', 9, single(16_777_216), 16_777_216],
    ['Double', 10, double(0.1), 0.1],
    ['Boolean', 11, flag(false), false],
    ['String', 12, word('"ü"'), '"ü"'],
    ['DateTime', 13, long(1_700_000_000_000), '2023-11-14T22:13:20.000Z'],
    ['DataSet', 16, withinField(17, Buffer.from([8, 1])), 'CAE='],
    ['Bytes', 17, withinField(16, Buffer.from([0, 255])), 'AP8='],
    ['Template', 19, withinField(18, Buffer.from([8, 1])), 'CAE='],
    ['Int8', 1, numberField(7, 1), null],
    ['Int8', 1, Buffer.alloc(0), null],
  ])('with a value of %s is read', (type, datatype, sent, value) => {
    const { read } = reader()
    const row = read('spBv1.0/g/NDATA/n', payloadOf(metric({ name: 'm', datatype }, sent)))
    expect(row.metrics).toEqual([{ name: 'm', type, value }])
    expect(row.values).toEqual({ m: value })
  })

  test('names and types that a birth gave are known until the next birth or the death of the node', () => {
    const { read, room } = reader()
    const birth = payloadOf(metric({ name: 'level', alias: 1, datatype: 1 }, int(1)))
    const ofDevice = payloadOf(metric({ name: 'speed', alias: 2, datatype: 3 }, int(1)))
    const data = payloadOf(metric({ alias: 1 }, int(255)), metric({ alias: 2 }, int(5)), metric({ alias: 3 }, int(9)))
    const named = (topic: string, payload: Buffer) => read(topic, payload).metrics
    read('spBv1.0/g/NBIRTH/n', birth)
    read('spBv1.0/g/DBIRTH/n/d', ofDevice)
    expect(named('spBv1.0/g/DDATA/n/d', data)).toEqual([
      { name: 'level', type: 'Int8', value: -1 },
      { name: 'speed', type: 'Int32', value: 5 },
      { alias: 3, value: 9 },
    ])
    // By name too the type is that of the birth, of this device only.
    const byName = payloadOf(metric({ name: 'speed' }, int(0xffff_ffff)))
    expect(named('spBv1.0/g/DDATA/n/d', byName)).toEqual([{ name: 'speed', type: 'Int32', value: -1 }])
    expect(named('spBv1.0/g/DDATA/n/e', byName)).toEqual([{ name: 'speed', value: 4294967295 }])
    expect(named('spBv1.0/g/NDATA/other', data)[0]).toEqual({ alias: 1, value: 255 })
    // The node's next birth is one of its devices too.
    read('spBv1.0/g/NBIRTH/n', payloadOf(metric({ name: 'other', alias: 1, datatype: 7 }, int(1))))
    expect(named('spBv1.0/g/DDATA/n/d', data)).toEqual([
      { name: 'other', type: 'UInt32', value: 255 },
      { alias: 2, value: 5 },
      { alias: 3, value: 9 },
    ])
    expect(room.bytes).toBeGreaterThan(0)
    read('spBv1.0/g/NDEATH/n', payloadOf())
    expect(room.bytes).toBe(0)
    expect(named('spBv1.0/g/DDATA/n/d', data)[0]).toEqual({ alias: 1, value: 255 })
  })

  test('what births leave behind is bounded for all connections, and given back with each [G-4]', () => {
    const { read, names, room } = reader()
    const some = payloadOf(
      ...Array.from({ length: 100 }, (_, alias) => metric({ name: `m${alias}`, alias, datatype: 3 }, int(1))),
    )
    read('spBv1.0/g/NBIRTH/n', some)
    const held = room.bytes
    read('spBv1.0/g/NBIRTH/n', some)
    expect(room.bytes).toBe(held)
    names.close()
    expect(room.bytes).toBe(0)
  })

  /** A birth of metrics that have about so many bytes to be remembered, by name and by alias. */
  const birthOf = (bytes: number, prefix = 'm') => {
    const name = (alias: number) => `${prefix}${alias}`.padEnd(1_000, 'x')
    const count = Math.floor(bytes / 6_500)
    return payloadOf(...Array.from({ length: count }, (_, alias) => metric({ name: name(alias), alias }, int(1))))
  }
  const { sparkplugConnectionNamesBytesMax: ownMax, sparkplugNamesBytesMax: allMax } = limits

  test('one connection has a part of the room, and says when a birth finds none: its data keep their alias [G-4]', () => {
    const { read, room, refusals } = reader()
    read('spBv1.0/g/NBIRTH/n', birthOf(ownMax * 0.9))
    expect(refusals.count).toBe(0)
    read('spBv1.0/g/NBIRTH/m', birthOf(ownMax * 0.9))
    expect([refusals.count, room.bytes <= ownMax]).toEqual([1, true])
    const last = Math.floor((ownMax * 0.9) / 6_500) - 1
    const data = (node: string) => read(`spBv1.0/g/NDATA/${node}`, payloadOf(metric({ alias: last }, int(1)))).metrics
    expect([data('n')[0].name?.length, data('m')[0].alias]).toEqual([1_000, last])
    // There is room again for a smaller birth of the node.
    read('spBv1.0/g/NBIRTH/m', birthOf(ownMax * 0.05))
    expect(refusals.count).toBe(1)
  })

  test('where all have too much, whoever has the most makes room, a node at a time, and nobody with less [G-4]', () => {
    const room = new NameRoom()
    const large = Array.from({ length: 5 }, () => reader(room))
    for (const [index, { read }] of large.entries())
      for (const node of [0, 1]) read(`spBv1.0/g/NBIRTH/n${node}`, birthOf(ownMax * (0.47 - index * 0.01)))
    expect(room.bytes).toBeLessThanOrEqual(allMax)
    const small = reader(room)
    for (let node = 0; node < 4; node++) small.read(`spBv1.0/g/NBIRTH/s${node}`, birthOf(ownMax * 0.1))
    const known = ({ read }: ReturnType<typeof reader>, node: string) =>
      read(`spBv1.0/g/NDATA/${node}`, payloadOf(metric({ alias: 1 }, int(1)))).metrics[0].name !== undefined
    expect([0, 1, 2, 3].map((node) => known(small, `s${node}`))).toEqual([true, true, true, true])
    expect(small.refusals.count).toBe(0)
    expect(room.bytes).toBeLessThanOrEqual(allMax)
    // The one that has the most itself is refused, and takes from nobody.
    const before = large.map(({ names }) => names.bytes)
    const most = before.indexOf(Math.max(...before))
    large[most]?.read('spBv1.0/g/NBIRTH/more', birthOf(ownMax))
    expect(large[most]?.refusals.count).toBe(1)
    expect(large.map(({ names }) => names.bytes).filter((_, index) => index !== most)).toEqual(
      before.filter((_, index) => index !== most),
    )
    for (const { names } of [...large, small]) names.close()
    expect(room.bytes).toBe(0)
  })

  test('a name that takes the place of a shorter one, and a node without metrics, take their room too [G-4]', () => {
    const { read, room } = reader()
    const named = (name: string) => payloadOf(metric({ name, alias: 1, datatype: 3 }, int(1)))
    read('spBv1.0/g/DBIRTH/n/d', named('a'))
    const [before, name] = [room.bytes, 'b'.repeat(1_000)]
    read('spBv1.0/g/DBIRTH/n/d', named(name))
    // By its own name, and by the alias in place of the other.
    expect(room.bytes - before).toBeGreaterThan(3 * 2 * name.length - 10)
    for (let node = 0; node < 10; node++) read(`spBv1.0/g/NBIRTH/n${node}`, payloadOf())
    const withNodes = room.bytes
    expect(withNodes - before).toBeGreaterThan(3 * 2 * name.length + 10 * 100)
    read('spBv1.0/g/NDEATH/n1', payloadOf())
    expect(room.bytes).toBeLessThan(withNodes)
    const full = birthOf(1.1 * limits.sparkplugConnectionNamesBytesMax)
    read('spBv1.0/g/NBIRTH/full', full)
    const withFull = room.bytes
    read('spBv1.0/g/NBIRTH/other'.padEnd(4_000, 'x'), payloadOf())
    expect(room.bytes).toBe(withFull)
    // What has no room is not known by what was there before.
    read('spBv1.0/g/DBIRTH/n/d', named('c'.repeat(limits.pointNameLengthMax)))
    const data = payloadOf(metric({ alias: 1 }, int(5)))
    expect(read('spBv1.0/g/DDATA/n/d', data).metrics).toEqual([{ alias: 1, value: 5 }])
  })

  test('connections give back all that they took', () => {
    const { read, room, names } = reader()
    for (const name of ['a', 'b'.repeat(1_000), 'c'.repeat(limits.pointNameLengthMax + 1), 'd'])
      read('spBv1.0/g/DBIRTH/n/d', payloadOf(metric({ name, alias: 1 }, int(1)), metric({ name: 'e', alias: 2 })))
    expect(room.bytes).toBeGreaterThan(0)
    names.close()
    expect(room.bytes).toBe(0)
  })

  test('a name that is longer than those of others may be is not remembered: a few bytes would become many', () => {
    const { read } = reader()
    read('spBv1.0/g/NBIRTH/n', payloadOf(metric({ name: 'x'.repeat(limits.pointNameLengthMax + 1), alias: 1 }, int(1))))
    expect(read('spBv1.0/g/NDATA/n', payloadOf(metric({ alias: 1 }, int(5)))).metrics).toEqual([{ alias: 1, value: 5 }])
  })

  test('that is none, has a body of its own, or becomes too large is not read', () => {
    const { read } = reader()
    const topic = 'spBv1.0/g/NDATA/n'
    expect(read(topic, Buffer.from('{"json":true}'))).toBeUndefined()
    expect(read(topic, Buffer.concat([payloadOf(), withinField(5, Buffer.from('gzip'))]))).toBeUndefined()
    expect(
      read(topic, payloadOf(...Array.from({ length: 20_000 }, () => metric({ alias: 1 }, int(1))))),
    ).toBeUndefined()
    expect(read(topic, Buffer.alloc(0))).toEqual({ type: 'NDATA', group: 'g', node: 'n', metrics: [], values: {} })
  })
})

describe('a connection of MQTT', () => {
  const publish = (topic: string, body: Buffer, id = 0) =>
    packet(id === 0 ? 0x30 : 0x32, text(topic), ...(id === 0 ? [] : [twoBytes(id)]), body)
  const birth = payloadOf(metric({ name: 'level', alias: 1, datatype: 1 }, int(1)))
  const data = payloadOf(metric({ alias: 1 }, int(255)))

  async function rowsOf(decodesSparkplug: boolean, ...packets: readonly Buffer[]) {
    const fixture = edgeFixture({ decodesSparkplug })
    const { connection, transport } = fixture.connect()
    const will = [text('spBv1.0/g/NDEATH/d1'), text(payloadOf(metric({ name: 'bdSeq', datatype: 8 }, long(0))))]
    connection.onChunk(rawConnect(4, { flags: 0x06, rest: will }))
    const connackBytes = transport.bytes.length
    connection.onChunk(Buffer.concat(packets))
    await fixture.settle()
    const answered = transport.bytes.subarray(connackBytes).toString('hex')
    connection.onClosed()
    await fixture.settle()
    const points = fixture.metrics.samples().filter(([name]) => name === 'penstock_edge_points_total')
    return { rows: fixture.log.envelopes(), answered, points, names: fixture.edge.sparkplugNames }
  }

  test('stores payloads as JSON where they are to be decoded, acknowledges them, and forgets their names at its end [G-1]', async () => {
    const { rows, answered, points, names } = await rowsOf(
      true,
      publish('spBv1.0/g/NBIRTH/d1', birth),
      publish('spBv1.0/g/NDATA/d1', data, 1),
      publish('spBv1.0/g/NDATA/d1', Buffer.from('no payload'), 2),
      publish('spBv1.0/STATE/host', Buffer.from('{}'), 3),
      publish('spBv1.0/g/NBIRTH/behind a gateway', birth),
    )
    expect(answered).toBe(['40020001', '40020002', '40020003'].join(''))
    const told = { contentType: 'application/json', contentEncoding: 'utf-8', contentSchema: 'sparkplug' }
    expect(rows.map(({ systemProperties }) => systemProperties)).toEqual([
      { topic: 'spBv1.0/g/NBIRTH/d1', ...told },
      { topic: 'spBv1.0/g/NDATA/d1', ...told },
      { topic: 'spBv1.0/g/NDATA/d1' },
      { topic: 'spBv1.0/STATE/host' },
      { topic: 'spBv1.0/g/NBIRTH/behind a gateway', ...told },
      { topic: 'spBv1.0/g/NDEATH/d1', ...told },
    ])
    expect(JSON.parse(String(rows[1]?.body)).values).toEqual({ level: -1 })
    expect([String(rows[2]?.body), String(rows[3]?.body)]).toEqual(['no payload', '{}'])
    expect(JSON.parse(String(rows[5]?.body))).toMatchObject({ type: 'NDEATH', values: { bdSeq: 0 } })
    expect(points.map(([, labels, value]) => [labels, value])).toEqual([
      ['format="sparkplug",outcome="stored"', 4],
      ['format="sparkplug",outcome="refused"', 1],
      ['format="sparkplug",outcome="unnamed"', 0],
    ])
    expect(names?.bytes).toBe(0)
  })

  test('is charged for rows, which a few bytes of data with long names become [G-4]', async () => {
    const quotas = { ...unlimitedQuotas, device: { ...unlimitedQuotas.device, bytesPerSecond: 20_000 } }
    const isHeldAfter = async (decodesSparkplug: boolean) => {
      const { connect, settle } = edgeFixture({ decodesSparkplug, quotas })
      const { connection, transport } = connect()
      connection.onChunk(rawConnect(4))
      connection.onChunk(
        publish('spBv1.0/g/NBIRTH/d1', payloadOf(metric({ name: 'x'.repeat(1_000), alias: 1 }, int(1)))),
      )
      expect(transport.paused).toBe(false)
      const short = payloadOf(...Array.from({ length: 50 }, () => metric({ alias: 1 }, int(1))))
      connection.onChunk(publish('spBv1.0/g/NDATA/d1', short))
      const { paused } = transport
      connection.onClosed()
      await settle()
      return paused
    }
    expect([await isHeldAfter(false), await isHeldAfter(true)]).toEqual([false, true])
  })

  test('stores them as they come otherwise', async () => {
    const { rows, points, names } = await rowsOf(false, publish('spBv1.0/g/NDATA/d1', data, 1))
    expect(rows.map(({ body }) => Buffer.from(body).toString('hex'))[0]).toBe(data.toString('hex'))
    expect([points, names]).toEqual([[], undefined])
  })

  test('refuses topics of another device also among payloads [G-6]', async () => {
    const { rows } = await rowsOf(true, publish('devices/d2/messages/events/', data))
    expect(rows.map(({ systemProperties }) => systemProperties.topic)).toEqual(['spBv1.0/g/NDEATH/d1'])
  })
})
