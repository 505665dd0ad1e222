/** What becomes of batches and their owners once the log has answered, or will not. */
import { describe, expect, test } from 'vitest'
import type { BatchStamp, Log } from '#pipeline/log/log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { lengthPrefixed } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { BatchBuffers, type BatchOwner } from './batch.ts'
import { Batcher } from './batcher.ts'

const turns = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

class Owner implements BatchOwner {
  batch = undefined
  batchIndex = 0
  readonly sentOver = 'mqtt'
  readonly #name: string
  readonly #events: string[]

  constructor(name: string, events: string[]) {
    this.#name = name
    this.#events = events
  }

  settled(count: number): void {
    this.#events.push(`${this.#name} settled ${count}`)
  }

  refused(count: number, { code }: PenstockError): void {
    this.#events.push(`${this.#name} refused ${count}: ${code}`)
  }
}

const frame = { prefix: lengthPrefixed(Buffer.from('d')), suffix: Buffer.from([0, 0]) }

/** A batcher on a log that fails as often as it is told to. */
function batcherOf() {
  const clock = virtualClock(1_700_000_000_000)
  const metrics = new Metrics<MetricName>(metricsTable)
  const appended: { readonly stamp: BatchStamp; readonly bytes: number }[] = []
  const behaviour = {
    failures: 0,
    code: 'LOG_APPEND_FAILED' as 'LOG_APPEND_FAILED' | 'LOG_RECORD_TOO_LARGE',
    attempts: 0,
    /** What it answers, where all is well how many it holds already. */
    offsetOf: (count: number): unknown => count,
  }
  const log = {
    partitionCount: 1,
    append: async (_: number, stamp: BatchStamp, value: Uint8Array) => {
      behaviour.attempts++
      if (behaviour.failures-- > 0) throw new PenstockError(behaviour.code, 'not now')
      return behaviour.offsetOf(appended.push({ stamp, bytes: value.length }) - 1)
    },
  } as unknown as Log
  const batcher = new Batcher({
    log,
    edgeId: 'edge-1',
    epoch: 7,
    clock,
    logger: silentLogger,
    metrics,
    batchDelayMs: 1,
    pendingBytesMax: 64 * 1024 * 1024,
    onFull: () => {},
  })
  const events: string[] = []
  const owners = { a: new Owner('a', events), b: new Owner('b', events) }
  const write = (owner?: 'a' | 'b') =>
    batcher.partitions[0]?.write(frame, Buffer.from('x'), 0, 1, owner === undefined ? undefined : owners[owner])
  const count = (name: MetricName) =>
    metrics.samples().reduce((sum, [sample, , value]) => (sample === name ? sum + value : sum), 0)
  const close = () => batcher.partitions[0]?.close()
  return { batcher, clock, appended, behaviour, events, owners, write, close, count }
}

describe('owners of messages', () => {
  test('are told once a batch how many of theirs it held, in the order in which they came', async () => {
    const { batcher, events, owners, write } = batcherOf()
    for (const owner of ['b', 'a', 'b', undefined, 'b', 'a'] as const) write(owner)
    await batcher.drain(new AbortController().signal)
    expect(events).toEqual(['b settled 3', 'a settled 2'])
    write('a')
    await batcher.drain(new AbortController().signal)
    expect(events.slice(2)).toEqual(['a settled 1'])
    // Nobody holds on to a batch that is settled.
    expect([owners.a.batch, owners.b.batch]).toEqual([undefined, undefined])
    expect(batcher.pendingBytes).toBe(0)
  })

  test('of a batch that is refused learn it, and what nobody owns is counted as dropped', async () => {
    const { batcher, behaviour, events, write, count } = batcherOf()
    Object.assign(behaviour, { failures: 1, code: 'LOG_RECORD_TOO_LARGE' })
    for (const owner of ['a', undefined, 'b', 'a', undefined, undefined] as const) write(owner)
    await batcher.drain(new AbortController().signal)
    expect([events, behaviour.attempts]).toEqual([['a refused 2: LOG_UNAVAILABLE', 'b refused 1: LOG_UNAVAILABLE'], 1])
    expect(count('penstock_edge_messages_dropped_total')).toBe(3)
    expect([count('penstock_edge_append_failures_total'), count('penstock_edge_batches_appended_total')]).toEqual([
      1, 0,
    ])
    // What comes behind it is none the worse.
    write('a')
    await batcher.drain(new AbortController().signal)
    expect(events.at(-1)).toBe('a settled 1')
    // Alone it would be refused again, and in other company not.
    for (const [others, told] of [
      [[], 'a refused 2: INGEST_MESSAGE_REFUSED'],
      [[undefined], 'a refused 2: LOG_UNAVAILABLE'],
    ] as const) {
      behaviour.failures = 1
      for (const owner of ['a', 'a', ...others] as const) write(owner)
      await batcher.drain(new AbortController().signal)
      expect(events.at(-1)).toBe(told)
    }
  })
})

describe('appends', () => {
  test('are stamped with edge, epoch and a sequence without gaps, and count what they hold', async () => {
    const { batcher, appended, clock, write, count } = batcherOf()
    const begunAtMs = clock.nowMs()
    for (const messages of [2, 1, 3]) {
      for (let i = 0; i < messages; i++) {
        write('a')
        clock.after(5, () => {})
        clock.step(clock.nowMs() + 5)
        batcher.tick()
      }
      await batcher.drain(new AbortController().signal)
    }
    expect(appended.map(({ stamp }) => stamp.sequence)).toEqual(appended.map((_, index) => index))
    expect(appended.reduce((sum, { stamp }) => sum + stamp.messageCount, 0)).toBe(6)
    for (const { stamp } of appended) expect(stamp).toMatchObject({ schemaVersion: 1, edgeId: 'edge-1', epoch: 7 })
    expect(appended[0]?.stamp.enqueuedAtMsFirst).toBe(begunAtMs)
    expect(count('penstock_edge_batches_appended_total')).toBe(appended.length)
    expect(count('penstock_edge_batch_bytes_total')).toBe(appended.reduce((sum, { bytes }) => sum + bytes, 0))
  })

  test('that fail are repeated after a wait that doubles up to its bound, and counted', async () => {
    const { batcher, behaviour, clock, events, write, close, count } = batcherOf()
    behaviour.failures = 10
    write('a')
    close()
    const waits: number[] = []
    for (let failure = 1; failure <= 10; failure++) {
      await turns(() => behaviour.attempts === failure)
      await new Promise((resolve) => setImmediate(resolve))
      const beforeMs = clock.nowMs()
      // The delay of the batch itself is over first, once.
      while (clock.nowMs() - beforeMs < 50) clock.step()
      waits.push(clock.nowMs() - beforeMs)
    }
    await batcher.drain(new AbortController().signal)
    expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000])
    expect([events, count('penstock_edge_append_failures_total'), behaviour.attempts]).toEqual([
      ['a settled 1'],
      10,
      11,
    ])
  })

  test('are given up when the drain is, so that it ends though the log does not answer', async () => {
    const { batcher, behaviour, clock, events, write } = batcherOf()
    behaviour.failures = Number.POSITIVE_INFINITY
    write('a')
    const giveUp = new AbortController()
    let ended = false
    const drained = batcher.drain(giveUp.signal).then(() => {
      ended = true
    })
    await turns(() => behaviour.attempts === 1)
    while (behaviour.attempts < 3) {
      clock.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect([ended, events]).toEqual([false, []])
    giveUp.abort()
    while (!ended) {
      clock.step()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await drained
    expect(events).toEqual(['a refused 1: INGEST_DRAINING'])
    expect(behaviour.attempts).toBe(4)
  })

  test.each([
    ['none at all', undefined],
    ['no number', Number.NaN],
    ['the one before the first', -1],
    ['one that it gave before', 0],
  ])(
    'that are answered with %s for an offset are not confirmed: nobody is acknowledged [G-1]',
    async (_name, answer) => {
      const { batcher, behaviour, events, write } = batcherOf()
      write('a')
      await batcher.drain(new AbortController().signal)
      behaviour.offsetOf = () => answer
      write('b')
      await batcher.drain(new AbortController().signal)
      expect(events).toEqual(['a settled 1', expect.stringMatching(/^b refused 1: (INGEST_DRAINING|LOG_UNAVAILABLE)$/)])
      expect(behaviour.attempts).toBe(2)
    },
  )

  test('to a log that was made anew are refused once, and confirmed from then on, though its offsets are behind those before', async () => {
    const { batcher, behaviour, events, write } = batcherOf()
    for (const offset of [4_711, 0, 1, 2]) {
      behaviour.offsetOf = () => offset
      write('a')
      await batcher.drain(new AbortController().signal)
    }
    expect(events).toEqual([
      'a settled 1',
      expect.stringMatching(/^a refused 1: (INGEST_DRAINING|LOG_UNAVAILABLE)$/),
      'a settled 1',
      'a settled 1',
    ])
  })

  test('are tried once where the drain was given up before it began', async () => {
    const { batcher, behaviour, events, write } = batcherOf()
    behaviour.failures = Number.POSITIVE_INFINITY
    write('a')
    await batcher.drain(AbortSignal.abort())
    expect([events, behaviour.attempts]).toEqual([['a refused 1: INGEST_DRAINING'], 1])
  })
})

describe('buffers of open batches', () => {
  test('have the least power of two that is wanted, from 64 KiB to a block', () => {
    const buffers = new BatchBuffers(1)
    const kib = 1024
    for (const [wanted, given] of [
      [0, 64 * kib],
      [64 * kib, 64 * kib],
      [64 * kib + 1, 128 * kib],
      [limits.blockBytesMax - 1, limits.blockBytesMax],
      [limits.blockBytesMax, limits.blockBytesMax],
      [limits.blockBytesMax + 1, limits.blockBytesMax],
    ] as const)
      expect(buffers.take(wanted).length, `${wanted}`).toBe(given)
  })

  test('are used again by their size, and so many of each are kept', () => {
    const buffers = new BatchBuffers(2)
    const small = [1, 2, 3].map(() => buffers.take(1))
    const large = buffers.take(100_000)
    for (const buffer of [...small, large]) buffers.give(buffer)
    expect(buffers.take(100_000)).toBe(large)
    const again = [1, 2, 3].map(() => buffers.take(1))
    expect(new Set([...again, ...small]).size).toBe(4)
    expect(small).not.toContain(again[2])
  })
})
