import { expect, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { Lag } from './lag.ts'

const nowMs = 1_000_000

async function logOf(...partitions: readonly (readonly number[])[]): Promise<{ log: MemoryLog; reads: number[] }> {
  const log = new MemoryLog({ store: new MemoryStore('penstock.telemetry', partitions.length) })
  for (const [partition, agesMs] of partitions.entries())
    for (const [sequence, ageMs] of agesMs.entries()) {
      const enqueuedAtMsFirst = nowMs - ageMs
      const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount: 2 }
      await log.append(partition, { ...stamp, enqueuedAtMsFirst, enqueuedAtMsLast: nowMs }, Buffer.from('a batch'))
    }
  const reads: number[] = []
  const read = log.read.bind(log)
  log.read = (partition, offset, bytesMax) => {
    reads.push(offset)
    return read(partition, offset, bytesMax)
  }
  return { log, reads }
}

const lagsOf = (metrics: Metrics<keyof typeof metricsTable>) =>
  Object.fromEntries(metrics.samples().map(([name, labels, value]) => [`${name.slice(20)} ${labels}`, value]))

test('the lag of a partition is how many records it has still to store, and how long the oldest of them waits', async () => {
  const { log } = await logOf([90_000, 60_000, 30_000], [20_000], [10_000])
  const metrics = new Metrics(metricsTable)
  await new Lag(log, metrics, virtualClock(nowMs)).report(
    new Map([
      [0, 1],
      [1, 1],
    ]),
  )
  // Partition 1 lacks nothing, and partition 2 is another worker's.
  expect(lagsOf(metrics)).toEqual({
    'records partition="0"': 2,
    'seconds partition="0"': 60,
    'records partition="1"': 0,
    'seconds partition="1"': 0,
    'records partition="2"': 0,
    'seconds partition="2"': 0,
  })
})

test('a record is read once for as long as it is the oldest, and grows older meanwhile', async () => {
  const { log, reads } = await logOf([90_000, -5_000])
  const metrics = new Metrics(metricsTable)
  const clock = virtualClock(nowMs)
  const lag = new Lag(log, metrics, clock)
  await lag.report(new Map([[0, 0]]))
  clock.after(7_000, () => {})
  clock.step()
  await lag.report(new Map([[0, 0]]))
  expect(lagsOf(metrics)['seconds partition="0"']).toBe(97)
  // The clock of the edge that wrote the next one was ahead of this one.
  await lag.report(new Map([[0, 1]]))
  expect(lagsOf(metrics)['seconds partition="0"']).toBe(2)
  expect(reads).toEqual([0, 1])
})
