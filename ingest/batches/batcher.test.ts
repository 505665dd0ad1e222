import { zstdDecompressSync } from 'node:zlib'
import avsc from 'avsc'
import { describe, expect, test } from 'vitest'
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { Clock } from '#runtime/clock.ts'
import { batchHeader, envelopeSchema, envelopesOfBatch, mapBytes, syncMarker } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import type { BatchOwner, EnvelopeFrame, SentOver } from './batch.ts'
import { envelopePrefix } from './batch.ts'
import type { Batcher } from './batcher.ts'

const incompressible = Buffer.from(Array.from({ length: 200_000 }, (_, i) => Math.imul(i, 2654435761) >>> 13))
const longType = avsc.Type.forSchema('long')
const envelopeType = avsc.Type.forSchema(JSON.parse(JSON.stringify(envelopeSchema)))

function frameOf(
  deviceId: string,
  properties: Record<string, string> = {},
  systemProperties: Record<string, string> = {},
): EnvelopeFrame {
  return {
    prefix: envelopePrefix(Buffer.from(deviceId)),
    suffix: Buffer.concat([
      mapBytes(new Map(Object.entries(properties))),
      mapBytes(new Map(Object.entries(systemProperties))),
    ]),
  }
}

class Owner implements BatchOwner {
  batch = undefined
  batchIndex = 0
  readonly sentOver: SentOver
  readonly events: string[] = []

  constructor(sentOver: SentOver = 'mqtt') {
    this.sentOver = sentOver
  }

  settled(count: number): void {
    this.events.push(`settled ${count}`)
  }
  refused(count: number): void {
    this.events.push(`refused ${count}`)
  }
}

/** A clock whose timers run when told to. */
function handClock(startMs: number): Clock & { nowAtMs: number; runTimers(): void } {
  const timers = new Set<() => void>()
  return {
    nowAtMs: startMs,
    nowMs() {
      return this.nowAtMs
    },
    monotonicMs() {
      return this.nowAtMs
    },
    after(_delayMs, action) {
      timers.add(action)
      return () => timers.delete(action)
    },
    runTimers() {
      const due = [...timers]
      timers.clear()
      for (const action of due) action()
    },
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

describe('batches', () => {
  test('hand-written envelopes have the bytes that the Avro library writes', async () => {
    const clock = handClock(1_700_000_000_000)
    const { edge, log, settle } = edgeFixture({ clock })
    const expected: Buffer[] = []
    let state = 1
    const random = (below: number) => {
      state = Math.imul(state, 1103515245) + 12345
      return ((state >>> 16) & 0x7fff) % below
    }
    for (let i = 0; i < 3000; i++) {
      clock.nowAtMs += random(3)
      edge.batcher.tick()
      const deviceId = 'd'.repeat(1 + random(130))
      const properties: Record<string, string> =
        random(3) === 0 ? { ['k'.repeat(random(80))]: 'é'.repeat(random(90)) } : {}
      const systemProperties: Record<string, string> = random(3) === 0 ? { topic: `t/${i}` } : {}
      const body = Buffer.alloc(random(10) === 0 ? random(9000) : random(140), random(256))
      const source = Buffer.concat([Buffer.from('xx'), body, Buffer.from('yy')])
      edge.batcher
        .partitionOf(Buffer.from(deviceId))
        .write(frameOf(deviceId, properties, systemProperties), source, 2, 2 + body.length, undefined)
      expected.push(
        envelopeType.toBuffer({ deviceId, enqueuedAtMs: clock.nowAtMs, body, properties, systemProperties }),
      )
    }
    await settle()
    const written = log.appended.map(({ value }) => {
      const envelopeBytes: Buffer[] = []
      for (const envelope of envelopesOfBatch(value)) envelopeBytes.push(envelopeType.toBuffer(envelope))
      const raw = Buffer.concat(rawBlocksOf(value))
      expect(raw.equals(Buffer.concat(envelopeBytes))).toBe(true)
      return raw
    })
    expect(Buffer.concat(written).equals(Buffer.concat(expected))).toBe(true)
  })

  test('owners are told only after the log confirmed, in order, though a later batch was compressed first [G-1] [MQTT-4.6.0-2]', async () => {
    const { edge, log, settle } = edgeFixture()
    let confirm: () => void = () => {}
    log.gate = (index) => (index === 0 ? new Promise((resolve) => (confirm = resolve)) : Promise.resolve())
    const owner = new Owner()
    const [partition] = edge.batcher.partitions
    // Large, then small: the second is compressed sooner.
    partition!.write(frameOf('a'), incompressible, 0, incompressible.length, owner)
    partition!.close()
    partition!.write(frameOf('b'), Buffer.from('2'), 0, 1, owner)
    partition!.write(frameOf('b'), Buffer.from('3'), 0, 1, owner)
    partition!.close()
    for (let i = 0; i < 50; i++) await new Promise(setImmediate)
    expect(owner.events).toEqual([])
    const drained = settle()
    while (owner.events.length < 2) {
      confirm()
      await new Promise(setImmediate)
    }
    await drained
    expect(owner.events).toEqual(['settled 1', 'settled 2'])
    expect(log.envelopes().map(({ deviceId }) => deviceId)).toEqual(['a', 'b', 'b'])
  })

  test('batches that are closed at once are appended at once, whichever is compressed first', async () => {
    const clock = handClock(1_700_000_000_000)
    const { edge, log, settle } = edgeFixture({ clock, partitions: 2 })
    const turns: number[] = []
    let turn = 0
    log.gate = async () => {
      turns.push(turn)
      queueMicrotask(() => turn++)
    }
    for (const [index, partition] of edge.batcher.partitions.entries())
      partition.write(frameOf('a'), incompressible, 0, incompressible.length >> index, undefined)
    clock.runTimers()
    await until(() => turns.length === edge.batcher.partitions.length)
    expect(turns).toEqual([0, 0])
    await settle()
  })

  test('what waits while the log is slow shares one record, within its bounds and one day', async () => {
    const midnight = Date.UTC(2026, 0, 2)
    const clock = handClock(midnight - 5)
    const { edge, log, settle } = edgeFixture({ clock })
    let open = () => {}
    log.gate = (index) => (index === 0 ? new Promise<void>((resolve) => (open = resolve)) : Promise.resolve())
    const partition = edge.batcher.partitions[0]!
    const owner = new Owner()
    for (let i = 0; i < 8; i++) {
      clock.nowAtMs++
      edge.batcher.tick()
      partition.write(frameOf('a'), Buffer.from(String(i)), 0, 1, owner)
      partition.close()
    }
    const drained = settle()
    await until(() => open.name !== 'open')
    open()
    await drained
    expect(
      log.appended.map(({ stamp }) => [stamp.sequence, stamp.messageCount, stamp.enqueuedAtMsFirst - midnight]),
    ).toEqual([
      [0, 1, -4],
      [1, 3, -3],
      [2, 4, 0],
    ])
    expect(log.envelopes().map(({ body }) => Number(String(body)))).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
    expect(owner.events.length).toBe(8)
  })

  /** Makes the edge gather: half seconds, after a first look, with very many writes of acknowledgements. */
  function gather(batcher: Batcher, clock: ReturnType<typeof handClock>): void {
    for (let half = 0; half < 3; half++) {
      for (let i = 0; i < 25_000; i++) batcher.acknowledged(1)
      clock.nowAtMs += 500
      batcher.tick()
      batcher.closeLater() // looks at what was acknowledged
      clock.runTimers()
    }
  }

  /** An edge that gathers, whose first message is under way until `open` is called. */
  async function gatheringEdge() {
    const clock = handClock(1_700_000_000_000)
    const fixture = edgeFixture({ clock, partitions: 2 })
    const { batcher } = fixture.edge
    gather(batcher, clock)
    let open = () => {}
    fixture.log.gate = (index) => (index === 0 ? new Promise<void>((resolve) => (open = resolve)) : Promise.resolve())
    const write = (partition: number, body: string) =>
      batcher.partitions[partition]!.write(frameOf('a'), Buffer.from(body), 0, body.length, undefined)
    write(0, '1')
    clock.runTimers()
    await until(() => open.name !== 'open')
    const bodies = () => fixture.log.envelopes().map(({ body }) => Number(String(body)))
    return { ...fixture, clock, write, bodies, open: () => open() }
  }

  test('an edge that gathers closes what came meanwhile together, once everything before is settled', async () => {
    const { log, write, bodies, open, settle } = await gatheringEdge()
    write(0, '2')
    write(1, '3')
    expect(log.appended.length).toBe(0)
    open()
    await until(() => log.appended.length === 3) // no timer ran
    expect(bodies()).toEqual([1, 2, 3])
    await settle()
  })

  test('a partition that does not settle keeps no other from closing, though the edge gathers', async () => {
    const { log, clock, write, bodies, open, settle } = await gatheringEdge()
    write(1, '2')
    clock.runTimers()
    await until(() => log.appended.length === 1)
    expect(bodies()).toEqual([2])
    open()
    await settle()
    expect(log.envelopes().length).toBe(2)
  })

  test('an edge that gathers does not sleep while somebody waits for a next step: batches close by their delay', async () => {
    const { edge, log, clock, write, open, settle } = await gatheringEdge()
    write(0, '2')
    edge.batcher.stayAwake()
    open()
    await until(() => log.appended.length === 1)
    for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setImmediate(resolve))
    expect(log.appended.length).toBe(1)
    clock.runTimers()
    await until(() => log.appended.length === 2)
    await settle()
  })

  test('a batch never spans two UTC days, nor a clock that was set back', async () => {
    const midnight = Date.UTC(2026, 0, 2)
    const clock = handClock(midnight - 1)
    const { edge, log, settle } = edgeFixture({ clock })
    const write = (nowMs: number, body: string) => {
      clock.nowAtMs = nowMs
      edge.batcher.tick()
      edge.batcher.partitions[0]!.write(frameOf('a'), Buffer.from(body), 0, body.length, undefined)
    }
    write(midnight - 1, '1')
    write(midnight, '2')
    write(midnight + 5, '3')
    write(midnight + 1, '4')
    await settle()
    expect(
      log.appended.map(({ stamp }) => [stamp.enqueuedAtMsFirst - midnight, stamp.enqueuedAtMsLast - midnight]),
    ).toEqual([
      [-1, -1],
      [0, 5],
      [1, 1],
    ])
  })

  test('a batch is closed by age, and by size before it exceeds a block', async () => {
    const clock = handClock(1_700_000_000_000)
    const { edge, log, settle } = edgeFixture({ clock })
    const partition = edge.batcher.partitions[0]!
    partition.write(frameOf('a'), Buffer.from('1'), 0, 1, undefined)
    expect(log.appended.length).toBe(0)
    clock.runTimers()
    await until(() => log.appended.length === 1)
    const body = Buffer.alloc(limits.bodyBytesMax, 7)
    for (let i = 0; i < 5; i++) partition.write(frameOf('a'), body, 0, body.length, undefined)
    await settle()
    expect(log.envelopes().length).toBe(6)
    for (const { value } of log.appended)
      for (const raw of rawBlocksOf(value)) expect(raw.length).toBeLessThanOrEqual(limits.blockBytesMax)
  })

  test('the largest envelope is written whole, and one that no block holds is refused and leaves nothing behind', async () => {
    const { edge, log, settle } = edgeFixture()
    const frame = frameOf('d')
    const owner = new Owner()
    const write = (bodyBytes: number, of?: Owner) =>
      edge.batcher.partitions[0]!.write(frame, Buffer.alloc(bodyBytes, 1), 0, bodyBytes, of)
    const roomBytes = limits.blockBytesMax - frame.prefix.length - frame.suffix.length - 16
    write(1)
    expect(() => write(roomBytes + 1, owner)).toThrow(expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' }))
    write(roomBytes)
    expect(() => write(roomBytes + 1)).toThrow(expect.objectContaining({ code: 'INGEST_FRAME_TOO_LARGE' }))
    await settle()
    const bodies = log.appended.flatMap(({ value }) => [...envelopesOfBatch(value)].map(({ body }) => body.length))
    expect(bodies).toEqual([1, roomBytes])
    expect(log.appended.every(({ stamp }) => stamp.messageCount > 0)).toBe(true)
    expect(owner.events).toEqual([])
    expect(edge.batcher.pendingBytes).toBe(0)
  })

  test('an append that fails is repeated with the same bytes and order until it holds [G-1] [G-3]', async () => {
    const { edge, log, settle } = edgeFixture()
    let failures = 3
    log.gate = async () => {
      if (failures-- > 0) throw new PenstockError('LOG_APPEND_FAILED', 'not now')
    }
    const owner = new Owner()
    const partition = edge.batcher.partitions[0]!
    for (const body of ['1', '2']) {
      partition.write(frameOf('a'), Buffer.from(body), 0, 1, owner)
      partition.close()
    }
    await settle()
    expect(log.envelopes().map(({ body }) => Buffer.from(body).toString())).toEqual(['1', '2'])
    expect(owner.events).toEqual(['settled 1', 'settled 1'])
  })

  test('a batch the log refuses for good is refused to its owners, and QoS 0 in it is counted as dropped [G-4]', async () => {
    const { edge, log, settle, count } = edgeFixture()
    log.gate = async () => {
      throw new PenstockError('LOG_RECORD_TOO_LARGE', 'never')
    }
    const owner = new Owner()
    const partition = edge.batcher.partitions[0]!
    partition.write(frameOf('a'), Buffer.from('1'), 0, 1, owner)
    partition.write(frameOf('a'), Buffer.from('2'), 0, 1, undefined)
    await settle()
    expect(owner.events).toEqual(['refused 1'])
    expect(count('penstock_edge_messages_dropped_total')).toBe(1)
  })

  test('above its bound the batcher pauses, and resumes once the log caught up [G-4]', async () => {
    const { edge, log, connect } = edgeFixture({ pendingBytesMax: 2 * 1024 * 1024 })
    let open = () => {}
    const gate = new Promise<void>((resolve) => (open = resolve))
    log.gate = () => gate
    const { transport } = connect()
    const partition = edge.batcher.partitions[0]!
    const body = Buffer.alloc(200_000)
    let written = 0
    while (!edge.batcher.full) {
      partition.write(frameOf('a'), body, 0, body.length, undefined)
      written++
    }
    expect(edge.batcher.pendingBytes).toBeLessThanOrEqual(2 * 1024 * 1024 + limits.blockBytesMax)
    expect(transport.paused).toBe(true)
    open()
    partition.close()
    await partition.idle()
    expect(transport.paused).toBe(false)
    expect(edge.batcher.pendingBytes).toBe(0)
    expect(log.envelopes().length).toBe(written)
  })

  test('it is full above its bound, not at it, and no longer at half of it, not above [G-4]', () => {
    const { edge, connect } = edgeFixture({ pendingBytesMax: 1_000 })
    const { batcher } = edge
    const { transport } = connect()
    const states: boolean[] = []
    const step = (bytes: number) => {
      if (bytes > 0) batcher.hold(bytes)
      else batcher.release(-bytes)
      expect(transport.paused).toBe(batcher.full)
      states.push(batcher.full)
    }
    for (const bytes of [1_000, 1, -1, -499, -1, 500, 1, -501]) step(bytes)
    expect(states).toEqual([false, true, true, true, false, false, true, false])
  })

  test('how long a batch took to be appended and settled is counted once for all its messages', async () => {
    const clock = handClock(1_700_000_000_000)
    const { edge, metrics, settle, log } = edgeFixture({ clock })
    const { batcher } = edge
    batcher.tick()
    const write = () => batcher.partitionOf(Buffer.from('d')).write(frameOf('d'), Buffer.from('x'), 0, 1, undefined)
    for (let message = 0; message < 3; message++) write()
    clock.nowAtMs += 200
    await settle()
    expect(log.appended.length).toBe(1)
    const samples = new Map(metrics.samples().map(([name, , value]) => [name, value]))
    for (const stage of ['append', 'acknowledge']) {
      expect(samples.get(`penstock_edge_${stage}_seconds_count`)).toBe(3)
      expect(samples.get(`penstock_edge_${stage}_seconds_sum`)).toBeCloseTo(3 * 0.2)
    }
  })

  test('of a batch from several transports each counts for what it acknowledges, and QoS 0 for none', async () => {
    const { edge, metrics, settle } = edgeFixture()
    const { batcher } = edge
    const write = (owner: Owner | undefined) =>
      batcher.partitionOf(Buffer.from('d')).write(frameOf('d'), Buffer.from('x'), 0, 1, owner)
    const [one, other, web] = [new Owner('mqtt'), new Owner('mqtt'), new Owner('websocket')]
    for (const owner of [one, other, undefined, web, one, new Owner('http'), undefined, one]) write(owner)
    await settle()
    const counts = metrics.samples().filter(([name]) => name === 'penstock_edge_acknowledge_seconds_count')
    expect(new Map(counts.map(([, labels, count]) => [labels, count]))).toEqual(
      new Map([
        ['transport="mqtt"', 4],
        ['transport="websocket"', 1],
        ['transport="http"', 1],
        ['transport="none"', 2],
      ]),
    )
  })

  test('a device has the partition that Kafka clients give its id', () => {
    const { edge } = edgeFixture({ partitions: 7 })
    expect(edge.batcher.partitionOf(Buffer.from('device-1')).index).toBe(partitionOfDevice(Buffer.from('device-1'), 7))
  })
})

/** The uncompressed envelopes of each block of a batch. */
function rawBlocksOf(value: Uint8Array): Buffer[] {
  const bytes = Buffer.from(value)
  const raw: Buffer[] = []
  let at = batchHeader.length
  const long = () => {
    const { value, offset } = longType.decode(bytes, at)
    at = offset
    return value
  }
  while (at < bytes.length) {
    long()
    const end = long() + at
    raw.push(zstdDecompressSync(bytes.subarray(at, end)))
    expect(bytes.subarray(end, end + syncMarker.length)).toEqual(syncMarker)
    at = end + syncMarker.length
  }
  return raw
}
