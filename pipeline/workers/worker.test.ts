import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { selectedFromMessages } from '#pipeline/endpoints/selected-messages.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { createLogger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { dayMs } from '#schemas/time.ts'
import type { StartRule } from './position-search.ts'
import { everything, type RangeSelector } from './range-selector.ts'
import { simulatedBatch } from './simulation/simulated-batch.ts'
import { SimulatedWarehouse } from './simulation/simulated-warehouse.ts'
import type { DeadLetterBox, UndeliverableRecord } from './undeliverable.ts'
import { startWorker, type Worker } from './worker.ts'

const insertDelayMs = 100

describe('worker', () => {
  const clock = virtualClock(20_000 * dayMs - 1_000)
  const metrics = new Metrics(metricsTable)
  let worker: Worker | undefined

  afterEach(async () => {
    const closed = worker?.close()
    worker = undefined
    await turnUntil(() => closed)
    await closed
  })

  function open(poison: ReadonlySet<string> = new Set(), viewPoison: ReadonlySet<string> = new Set()) {
    const store = new MemoryStore('telemetry', 1)
    const log = new MemoryLog({ store, clock })
    const sink = new SimulatedWarehouse({
      clock,
      random: seededRandom(1),
      faults: { lossShare: 0, burnShare: 0 },
      poison,
      viewPoison,
      insertMsMax: 3_000,
      tokenMsMax: 5_000,
      requestMsMax: 1_000,
    })
    let id = 0
    const append = (enqueuedAtMs = Math.floor(clock.nowMs()), messageCount = 1) =>
      log.append(0, stamp(id, enqueuedAtMs, messageCount), simulatedBatch(id++, messageCount, enqueuedAtMs))
    return { store, log, sink, append }
  }

  async function start(
    log: MemoryLog,
    destination: TableSink,
    letters: UndeliverableRecord[] = [],
    logger = silentLogger,
    begin?: StartRule,
  ): Promise<Worker> {
    const starting = startWorker({
      log,
      group: 'g',
      destination,
      deadLetters: { put: async (letter) => void letters.push(letter), lettered: async () => new Map() },
      logger,
      metrics,
      insertDelayMs,
      insertBeginMsMax: 2_000,
      clock,
      ...(begin && { start: begin }),
    })
    worker = await starting
    worker.finished.catch(() => {})
    return worker
  }

  /** Turns the clock from event to event until `done` is true or settles. */
  async function turnUntil(done: () => boolean | Promise<unknown> | undefined): Promise<void> {
    for (let step = 0; step < 20_000; step++) {
      await setImmediate()
      const result = done()
      if (result === true || result === undefined) return
      if (result !== false && (await Promise.race([result.then(() => true), setImmediate(false)]))) return
      clock.step()
    }
    throw new Error('it never happens')
  }

  const settled = (log: MemoryLog, offset: number) => () =>
    log.position('g', 0)?.offset === offset && !log.position('g', 0)?.metadata.includes('"b":')
  const ranges = (sink: SimulatedWarehouse) => sink.ranges.map(({ range: { first, last } }) => [first, last])

  test('a tail is inserted after the delay without more traffic, and batches of two days never together', async () => {
    const { log, sink, append } = open()
    const midnightMs = Math.ceil(clock.nowMs() / dayMs) * dayMs
    for (const atMs of [midnightMs - 2, midnightMs - 1, midnightMs, midnightMs + 1]) await append(atMs)
    await start(log, sink)
    await turnUntil(settled(log, 4))
    expect(ranges(sink)).toEqual([
      [0, 1],
      [2, 3],
    ])
  })

  test('close writes the position down, and the next worker begins there', async () => {
    const { log, sink, append } = open()
    await append()
    const first = await start(log, sink)
    await turnUntil(() => sink.ranges.length === 1)
    await turnUntil(() => first.close())
    await append()
    await start(log, sink)
    await turnUntil(settled(log, 2))
    expect(ranges(sink)).toEqual([
      [0, 0],
      [1, 1],
    ])
  })

  test('a log that does not say yet where a new group begins makes the worker wait, not end', async () => {
    const { log, sink, append } = open()
    await append()
    let asked = 0
    const ranges = log.ranges.bind(log)
    log.ranges = async () => {
      if (asked++ < 3) throw new PenstockError('LOG_UNAVAILABLE', 'no broker leads the partition')
      return ranges()
    }
    await start(log, sink)
    await turnUntil(settled(log, 1))
    expect(sink.ranges).toHaveLength(1)
    expect(asked).toBeGreaterThan(3)
  })

  test.each([
    ['before delivery', { offset: 1, metadata: '' }, 2],
    ['before the group was ever there', undefined, 3],
  ])('batches that retention removed %s are counted, and delivery goes on behind them', async (_, position, lost) => {
    const { log, sink, append, store } = open()
    for (let index = 0; index < 5; index++) await append()
    if (position) store.positions.set('g 0', position)
    const keep = store.partitions[0]!
    keep.records.splice(0, 3)
    keep.first = 3
    const counted = metrics.series('penstock_log_positions_lost_total')
    const before = counted.value
    await start(log, sink)
    await turnUntil(settled(log, 5))
    expect(ranges(sink)).toEqual([[3, 4]])
    expect(counted.value - before).toBe(lost)
  })

  test.each([
    [true, 0],
    [false, 2],
  ])('an open intent whose batches are gone is settled by what is stored (%s), not guessed', async (stored, lost) => {
    const { log, sink, append, store } = open()
    for (let index = 0; index < 4; index++) await append()
    const range: DeliveryRange = {
      topic: 'telemetry',
      partition: 0,
      first: 0,
      last: 1,
      messageCount: 2,
      enqueuedAtMsFirst: 1,
      enqueuedAtMsLast: 2,
    }
    if (stored)
      sink.ranges.push({
        range,
        messages: [
          { id: 0, index: 0 },
          { id: 1, index: 0 },
        ],
      })
    const metadata = '{"v":1,"b":1,"token":"t","rows":2,"from":1,"to":2,"delivered":""}'
    store.positions.set('g 0', { offset: 0, metadata })
    store.partitions[0]!.records.splice(0, 2)
    store.partitions[0]!.first = 2
    const before = metrics.series('penstock_log_positions_lost_total').value
    await start(log, sink)
    await turnUntil(settled(log, 4))
    expect(ranges(sink).at(-1)).toEqual([2, 3])
    expect(metrics.series('penstock_log_positions_lost_total').value - before).toBe(lost)
  })

  test('what a broker that forgot its producer took twice becomes rows once, whatever lies between [G-2]', async () => {
    const { log, sink, append, store } = open()
    for (let index = 0; index < 3; index++) await append()
    // The log holds the whole batch again under the edge's own stamp: at once, behind others, and after its first is settled.
    const [, twice] = store.partitions[0]!.records
    const again = () => log.append(0, twice!.stamp, twice!.value)
    await again()
    await append()
    await again()
    const first = await start(log, sink)
    await turnUntil(settled(log, 6))
    await turnUntil(() => first.close())
    await again()
    await append()
    await start(log, sink)
    await turnUntil(settled(log, 8))
    expect(sink.ranges.flatMap(({ messages }) => messages.map(({ id }) => id))).toEqual([0, 1, 2, 3, 4])
  })

  describe('a log that is made anew under its name', () => {
    const stored = (sink: SimulatedWarehouse) => sink.ranges.flatMap(({ messages }) => messages.map(({ id }) => id))
    const lost = metrics.series('penstock_log_positions_lost_total')

    test.each([
      ['fewer', 2],
      ['as many', 5],
      ['more', 8],
    ])('while its worker lives, with %s batches than before, becomes rows from its start [G-2]', async (_, count) => {
      const { log, sink, append, store } = open()
      for (let index = 0; index < 5; index++) await append()
      await start(log, sink)
      await turnUntil(settled(log, 5))
      const before = lost.value
      store.makeAnew()
      for (let index = 0; index < count; index++) await append()
      await turnUntil(() => stored(sink).length === 5 + count)
      await turnUntil(settled(log, count))
      expect(stored(sink)).toEqual(Array.from({ length: 5 + count }, (_, id) => id))
      expect(lost.value - before).toBe(1)
      await append()
      await turnUntil(settled(log, count + 1))
      expect(stored(sink)).toHaveLength(5 + count + 1)
    })

    test('while no worker lives becomes rows from its start, and what an edge repeats of the old one is no second row', async () => {
      const { log, sink, append, store } = open()
      for (let index = 0; index < 3; index++) await append()
      const first = await start(log, sink)
      await turnUntil(settled(log, 3))
      await turnUntil(() => first.close())
      const repeated = store.partitions[0]!.records[2]!
      store.makeAnew()
      for (let index = 0; index < 4; index++) await append()
      await log.append(0, repeated.stamp, repeated.value)
      await start(log, sink)
      await turnUntil(settled(log, 5))
      expect(stored(sink)).toEqual([0, 1, 2, 3, 4, 5, 6])
    })

    test('while an insert is open leaves that to whoever made it anew, and becomes rows from its start', async () => {
      const { log, sink, append, store } = open()
      const metadata = `{"v":1,"b":1,"token":"t","rows":2,"from":1,"to":2,"delivered":"","log":"${store.id}"}`
      store.positions.set('g 0', { offset: 0, metadata })
      store.makeAnew()
      for (let index = 0; index < 3; index++) await append()
      await start(log, sink)
      await turnUntil(settled(log, 3))
      expect(stored(sink)).toEqual([0, 1, 2])
    })

    test('but holds the same batches, as one that moved with its offsets, goes on where it was', async () => {
      const { log, sink, append, store } = open()
      for (let index = 0; index < 3; index++) await append()
      const first = await start(log, sink)
      await turnUntil(settled(log, 3))
      await turnUntil(() => first.close())
      const before = lost.value
      store.id = 'moved'
      await append()
      await start(log, sink)
      await turnUntil(settled(log, 4))
      expect(stored(sink)).toEqual([0, 1, 2, 3])
      expect(lost.value).toBe(before)
    })
  })

  test('a note that is not understood ends the worker with the reason', async () => {
    const { log, sink, append, store } = open()
    await append()
    store.positions.set('g 0', { offset: 0, metadata: 'someone else wrote this' })
    const { finished } = await start(log, sink)
    await expect(finished).rejects.toMatchObject({ code: 'INTENT_CORRUPT' })
    expect(sink.ranges).toEqual([])
  })

  test('a letter holds what the sink said last, and refused inserts are counted apart from those that are repeated [G-5]', async () => {
    const { log, sink, append } = open(new Set(['0/1', '1/0']))
    await append(undefined, 3)
    await append()
    const letters: UndeliverableRecord[] = []
    const first = await start(log, sink, letters)
    await turnUntil(settled(log, 2))
    await turnUntil(() => first.close())
    expect(letters.map(({ text }) => text)).toEqual([
      'the sink refused message 1 of this batch: simulated: bad row',
      'the sink refused message 0 of this batch: simulated: bad row',
    ])
    expect(metrics.series('penstock_worker_inserts_refused_total', { sink: 'simulated' }).value).toBeGreaterThan(2)
    expect(metrics.series('penstock_worker_insert_failures_total', { sink: 'simulated' }).value).toBe(0)
  })

  test('of a batch that is stored in parts every message that becomes a row counts once for how long it took', async () => {
    const counted = () =>
      metrics
        .samples()
        .filter(([name]) => /^penstock_worker_(read|store)_seconds_count$/.test(name))
        .map(([, , count]) => count)
    const before = counted()
    const { log, sink, append } = open(new Set(['0/1']))
    await append(undefined, 5)
    await append(undefined, 2)
    await start(log, sink)
    await turnUntil(settled(log, 2))
    expect(counted().map((count, index) => count - (before[index] ?? 0))).toEqual([6, 6])
  })

  test('an insert that is answered with an error though its rows are stored is settled: no row twice, no letter, and counted [G-2] [G-5]', async () => {
    const { log, sink, append } = open(new Set(['1/0']), new Set(['0/1', '2/0']))
    const despite = metrics.series('penstock_worker_inserts_stored_despite_error_total', { sink: 'simulated' })
    const before = despite.value
    for (const messageCount of [3, 2, 1]) await append(undefined, messageCount)
    const letters: UndeliverableRecord[] = []
    await start(log, sink, letters)
    await turnUntil(settled(log, 3))
    expect(sink.ranges.flatMap(({ messages }) => messages.map(({ id, index }) => `${id}/${index}`))).toEqual([
      '0/0',
      '0/1',
      '0/2',
      '1/1',
      '2/0',
    ])
    expect(letters.map(({ record: { offset }, messageFirst }) => [offset, messageFirst])).toEqual([[1, 0]])
    expect(despite.value - before).toBe(2)
  })

  test('a refusal that left its token without its rows loses nothing: the next attempt has another [G-2]', async () => {
    const { log, sink, append } = open()
    await append()
    const tokens: string[] = []
    const insert = sink.insert.bind(sink)
    sink.insert = async (range, token, ...rest) => {
      tokens.push(token)
      sink.faults = { lossShare: 0, burnShare: tokens.length === 1 ? 1 : 0 }
      await insert(range, token, ...rest).catch(() => {
        throw new PenstockError('WAREHOUSE_REFUSED', 'failed while committing')
      })
    }
    await start(log, sink)
    await turnUntil(settled(log, 1))
    expect(sink.ranges).toHaveLength(1)
    expect(tokens.at(-1)).toBe(`${tokens[0]}~1`)
  })

  test('rows that land while a repetition is taken for one, and has no rows yet, settle it at once: the token is not waited out [G-2]', async () => {
    const { log, append, sink: simulated } = open()
    await append()
    let inserts = 0
    let landsAtMs = Number.POSITIVE_INFINITY
    const sink: TableSink = {
      atomic: true,
      name: simulated.name,
      insertMsMax: 3_000,
      // The first goes on without its sender; the second is dropped as its repetition.
      insert: async () => {
        if (++inserts > 1) return
        landsAtMs = clock.monotonicMs() + 1_500
        throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'no answer')
      },
      stored: async () => (clock.monotonicMs() >= landsAtMs ? 1 : 0),
      newest: async () => undefined,
      accepts: async () => true,
      close: async () => {},
    }
    await start(log, sink)
    await turnUntil(settled(log, 1))
    expect(inserts).toBe(2)
    // As long as the second could still have landed.
    expect(clock.monotonicMs() - landsAtMs).toBeLessThan(2_000)
  })

  test('a verdict that a worker left behind becomes a letter that says where its cause is', async () => {
    const { log, sink, append, store } = open()
    await append(undefined, 2)
    store.positions.set('g 0', { offset: 0, metadata: '{"v":2,"next":0,"stored":0,"given":1,"delivered":""}' })
    const letters: UndeliverableRecord[] = []
    await start(log, sink, letters)
    await turnUntil(settled(log, 1))
    expect(letters.map(({ text }) => text)).toEqual([
      'the sink refused message 0 of this batch: the cause went with a worker that ended; its log has it',
    ])
  })

  test.each([
    [1, 4],
    [40, 60],
  ])(
    'where message %i of %i was refused, what only later routes select behind it is stored and no letter [G-5]',
    async (refused, messageCount) => {
      const { log, sink, append } = open(new Set([`0/${refused}`]))
      await append(undefined, messageCount)
      const letters: UndeliverableRecord[] = []
      const begin = async (isSelected: (index: number) => boolean, put: DeadLetterBox['put']) => {
        const selector: RangeSelector = {
          selectsEverything: false,
          async select(range, records) {
            const messages: SelectedMessage[] = []
            for await (const block of (await everything.select(range, records, undefined)).messages())
              messages.push(...block.filter(({ index }) => isSelected(index)))
            return selectedFromMessages(range, messages, String(isSelected))
          },
        }
        const deadLetters = { put, lettered: async () => new Map<number, number>() }
        const common = { log, group: 'g', destination: sink, logger: silentLogger, metrics, insertDelayMs, clock }
        worker = await startWorker({ ...common, selector, deadLetters, insertBeginMsMax: 2_000 })
        return worker
      }
      // It ends between the verdict and the letter.
      const away = new PenstockError('LOG_UNAVAILABLE', 'simulated')
      const one = await begin(
        (index) => index === refused,
        () => Promise.reject(away),
      )
      await turnUntil(() => log.position('g', 0)?.metadata.includes('"given":1') ?? false)
      const closed = one.close()
      await turnUntil(() => closed)
      await begin(
        () => true,
        async (letter) => void letters.push(letter),
      )
      await turnUntil(settled(log, 1))
      const behind = Array.from({ length: messageCount - refused - 1 }, (_, index) => refused + 1 + index)
      expect(sink.ranges.flatMap(({ messages }) => messages.map(({ index }) => index))).toEqual(behind)
      expect(letters.map(({ messageFirst, record }) => [messageFirst, record.stamp.messageCount])).toEqual([
        [refused, 1],
      ])
    },
  )

  test('a partition that stands still is named with the reason after a minute, once a minute, until it moves', async () => {
    const { log, sink, append } = open()
    await append()
    sink.targetMissing = true
    const beganMs = clock.monotonicMs()
    const lines: string[] = []
    const delivery = await start(
      log,
      sink,
      [],
      createLogger('worker', 'error', (line) => lines.push(line)),
    )
    const standing = metrics.series('penstock_worker_partitions_standing_still')
    await turnUntil(() => clock.monotonicMs() > beganMs + 50_000)
    expect(delivery.standstills()).toEqual([])
    await turnUntil(() => standing.value > 0)
    expect(delivery.standstills()).toMatchObject([{ partition: 0, error: { code: 'WAREHOUSE_UNAVAILABLE' } }])
    await turnUntil(() => delivery.standstills()[0]!.forMs > 150_000)
    expect(lines).toHaveLength(2)
    for (const line of lines)
      expect(line).toMatch(/delivery stands still partitions=0 .*the target of a view is missing/)
    sink.targetMissing = false
    await turnUntil(settled(log, 1))
    expect(delivery.standstills()).toEqual([])
    await turnUntil(() => standing.value === 0)
  })

  test('where a destination begins is written down at once, so that retention keeps nothing older for it', async () => {
    const { log, sink, append } = open()
    for (let count = 0; count < 3; count++) await append()
    await start(log, sink, [], silentLogger, async (_, { next }) => next)
    await turnUntil(settled(log, 3))
    expect(sink.ranges).toEqual([])
    await append()
    await turnUntil(settled(log, 4))
    expect(ranges(sink)).toEqual([[3, 3]])
  })

  test('a backlog is delivered whole and in order [G-3]', async () => {
    const { log, sink, store } = open()
    const records = store.partitions[0]!.records
    for (let id = 0; id < 3_000; id++) records.push({ stamp: stamp(id, clock.nowMs(), 1), value: simulatedBatch(id) })
    await start(log, sink)
    await turnUntil(settled(log, 3_000))
    expect(sink.ranges.flatMap(({ messages }) => messages.map(({ id }) => id))).toEqual(
      Array.from({ length: 3_000 }, (_, id) => id),
    )
  })
})

function stamp(sequence: number, enqueuedAtMs: number, messageCount: number) {
  return {
    schemaVersion: 1,
    edgeId: 'edge',
    epoch: 1,
    sequence,
    messageCount,
    enqueuedAtMsFirst: enqueuedAtMs,
    enqueuedAtMsLast: enqueuedAtMs,
  }
}
