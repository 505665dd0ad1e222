import { describe, expect, test } from 'vitest'
import type { LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { LogTail } from './log-tail.ts'

/** A log whose questions are counted, and whose partitions all have the same records. */
class CountedLog {
  readonly partitionCount: number
  readonly records: LogRecord[] = []
  delivered = 0
  calls = 0

  isDown = false
  /** Records that a read may return. */
  readable = Number.POSITIVE_INFINITY

  constructor(partitionCount: number) {
    this.partitionCount = partitionCount
  }

  append(messageCount: number, atMs = 0, bodyBytes = 0): void {
    const messages = Array.from({ length: messageCount }, (_, index) => ({
      bytes: envelopeBytes({
        deviceId: `pump-${index}`,
        enqueuedAtMs: atMs,
        body: Buffer.from(`{"index":${index}}`.padEnd(bodyBytes)),
        properties: {},
        systemProperties: {},
      }),
    }))
    this.records.push({
      offset: this.records.length,
      stamp: {
        schemaVersion: 1,
        edgeId: 'edge',
        epoch: 0,
        sequence: this.records.length,
        messageCount,
        enqueuedAtMsFirst: atMs,
        enqueuedAtMsLast: atMs,
      },
      value: batchFromMessages(messages),
    })
  }

  async ranges(): Promise<readonly PartitionRange[]> {
    this.calls++
    if (this.isDown) throw new Error('down')
    return Array.from({ length: this.partitionCount }, () => ({ first: 0, next: this.records.length }))
  }

  async read(_partition: number, offset: number): Promise<LogRecord[]> {
    return this.records.slice(offset).slice(0, this.readable)
  }

  async positions() {
    return [{ offset: this.delivered, metadata: '' }]
  }
}

/** Lets what was begun go on to its end. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

async function pass(clock: VirtualClock, ms: number): Promise<void> {
  const untilMs = clock.nowMs() + ms
  await settled()
  while (clock.step(untilMs)) await settled()
}

function opened(partitionCount = 1) {
  const [log, clock] = [new CountedLog(partitionCount), virtualClock()]
  return { log, clock, tail: new LogTail({ log, group: 'warehouse', clock, logger: silentLogger }) }
}

describe('the tail of the log', () => {
  test('asks nothing of the log before somebody looks, and nothing once nobody does', async () => {
    const { log, clock, tail } = opened()
    await pass(clock, 10_000)
    expect(log.calls).toBe(0)
    const watch = tail.watch({}, false)
    await pass(clock, 1_000)
    expect(log.calls).toBeGreaterThan(5)
    watch.end()
    await pass(clock, limits.tailPollMs)
    const calls = log.calls
    await pass(clock, 10_000)
    expect(log.calls).toBe(calls)
  })

  test('begins at the end, and shows what comes after', async () => {
    const { log, clock, tail } = opened()
    log.append(3)
    const watch = tail.watch({ device: 'pump-1*' }, false)
    await pass(clock, 500)
    expect(watch.heartbeat().messages).toEqual([])
    log.append(3)
    await pass(clock, 500)
    const report = watch.report()
    expect(report?.messages.map(({ device, body }) => [device, body])).toEqual([['pump-1', '{"index":1}']])
    expect(report).toMatchObject({ matched: 1, seen: 3, skipped: 0 })
    expect(watch.report()).toBeUndefined()
    watch.end()
  })

  test('whoever comes as the last one leaves sees nothing of what was before', async () => {
    const { log, clock, tail } = opened()
    const first = tail.watch({}, false)
    await pass(clock, 500)
    first.end()
    const second = tail.watch({}, false)
    const calls = log.calls
    await pass(clock, limits.tailPollMs * 10)
    expect(log.calls - calls, 'one reader').toBeLessThanOrEqual(11)
    log.append(1)
    await pass(clock, 500)
    expect(second.report()?.messages).toHaveLength(1)
    second.end()
  })

  test('shows a viewer no more than it may, and counts all the rest', async () => {
    const { log, clock, tail } = opened()
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    let [shown, seen, skipped] = [0, 0, 0]
    for (let tenth = 0; tenth < 10; tenth++) {
      for (let record = 0; record < 5; record++) log.append(100)
      await pass(clock, limits.tailPollMs)
      const report = watch.heartbeat()
      shown += report.messages.length
      seen += report.seen
      skipped += report.skipped
    }
    expect(shown).toBeGreaterThanOrEqual(limits.tailMessagesPerSecondMax)
    expect(shown).toBeLessThanOrEqual(2.2 * limits.tailMessagesPerSecondMax)
    expect(seen + skipped).toBeGreaterThanOrEqual(4_500)
    expect(seen + skipped).toBeLessThanOrEqual(5_000)
    watch.end()
  })

  test('decodes no more of a long record than there is room for', async () => {
    const { log, clock, tail } = opened()
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    log.append(20_000)
    await pass(clock, 500)
    const { messages, seen, skipped } = watch.heartbeat()
    expect([messages.length, seen]).toEqual([limits.tailMessagesPerSecondMax, limits.tailMessagesPerSecondMax])
    expect(seen + skipped).toBe(20_000)
    watch.end()
  })

  test('decodes no more of a long record than there is time for, where a filter finds nothing', async () => {
    const { log, clock } = opened()
    let asked = 0
    const slow: Clock = { ...clock, monotonicMs: () => clock.monotonicMs() + 0.01 * ++asked }
    const tail = new LogTail({ log, group: 'warehouse', clock: slow, logger: silentLogger })
    const watch = tail.watch({ device: 'nobody*' }, false)
    await pass(clock, 500)
    log.append(20_000)
    await pass(clock, 500)
    const { seen, skipped } = watch.heartbeat()
    expect(seen).toBeGreaterThan(0)
    expect(seen).toBeLessThanOrEqual(limits.tailDecodeMsMax / 0.01 + 1)
    expect(seen + skipped).toBe(20_000)
    tail.close()
  })

  test('shows each partition in turn where one alone has more than there is room for', async () => {
    const { log, clock, tail } = opened(3)
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    const shown = new Set<number>()
    for (let tenth = 0; tenth < 6; tenth++) {
      log.append(1_000)
      await pass(clock, limits.tailPollMs)
      for (const { partition } of watch.heartbeat().messages) shown.add(partition)
    }
    expect(shown).toEqual(new Set([0, 1, 2]))
    watch.end()
  })

  test('jumps over records that are too many to be read, and counts about as many messages', async () => {
    const { log, clock, tail } = opened()
    const watch = tail.watch({ device: 'nobody*' }, false)
    log.append(10)
    await pass(clock, 500)
    watch.heartbeat()
    log.append(10)
    await pass(clock, 500)
    watch.heartbeat()
    for (let record = 0; record < 100; record++) log.append(10)
    await pass(clock, 500)
    const { seen, skipped } = watch.heartbeat()
    expect(seen).toBe(10 * limits.tailRecordsMax)
    expect(seen + skipped).toBe(1_000)
    watch.end()
  })

  test('has begun once it knows where the log ends, and not before', async () => {
    const { log, clock, tail } = opened()
    log.isDown = true
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    expect(watch.hasBegun).toBe(false)
    log.isDown = false
    await pass(clock, 500)
    expect(watch.hasBegun).toBe(true)
    watch.end()
  })

  test('reads again what could not be read', async () => {
    const { log, clock, tail } = opened()
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    log.append(2)
    log.isDown = true
    await pass(clock, 500)
    log.isDown = false
    log.readable = 0
    await pass(clock, 500)
    expect(watch.report()).toBeUndefined()
    log.readable = Number.POSITIVE_INFINITY
    await pass(clock, 500)
    expect(watch.report()).toMatchObject({ matched: 2, seen: 2, skipped: 0 })
    watch.end()
  })

  test.each([
    ['few bytes: all are shown', 20, 12],
    ['many: some are skipped', limits.tailDecodeBytesMin / 2, 2],
  ])('a machine that decodes slowly, and %s', async (_, bodyBytes, shown) => {
    const { log, clock } = opened()
    const slow: Clock = { ...clock, monotonicMs: () => clock.monotonicMs() + 15 * ++asked }
    let asked = 0
    const tail = new LogTail({ log, group: 'warehouse', clock: slow, logger: silentLogger })
    const watch = tail.watch({}, false)
    await pass(clock, 500)
    for (let record = 0; record < 12; record++) log.append(1, 0, bodyBytes)
    await pass(clock, limits.tailPollMs)
    const { messages, seen, skipped } = watch.heartbeat()
    expect([messages.length, seen + skipped]).toEqual([shown, 12])
    tail.close()
  })

  test('says when the first message has become a row', async () => {
    const { log, clock, tail } = opened()
    const watch = tail.watch({}, true)
    await pass(clock, 500)
    log.append(1, clock.nowMs())
    await pass(clock, 500)
    expect(watch.heartbeat().stored).toBeUndefined()
    log.delivered = 1
    await pass(clock, 500)
    expect(watch.report()?.stored).toMatchObject({ partition: 0, offset: 0 })
    watch.end()
  })

  test('has places for so many viewers and no more', () => {
    const { tail } = opened()
    for (let count = 0; count < limits.tailViewersMax; count++) tail.watch({}, false)
    expect(() => tail.watch({}, false)).toThrow(expect.objectContaining({ code: 'CONSOLE_VIEWERS_FULL' }))
    tail.close()
  })

  test('ends for all who look once it is closed', () => {
    const { tail } = opened()
    const watch = tail.watch({}, false)
    expect(watch.hasEnded).toBe(false)
    tail.close()
    expect(watch.hasEnded).toBe(true)
  })
})
