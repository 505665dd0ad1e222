import { afterEach, expect, test } from 'vitest'
import type { Endpoint, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { everything, type RangeSelector } from './range-selector.ts'
import { simulatedBatch } from './simulation/simulated-batch.ts'
import { startWorker, type Worker } from './worker.ts'

const enqueuedAtMs = 1_700_000_000_000

class Away implements Endpoint {
  readonly atomic = false
  readonly name = 'e'
  readonly requestMessagesMax = 1_000_000
  readonly requestBytesMax = 1_000_000_000
  readonly requestsAtOnceMax = 2
  readonly requestMsMax = 1_000
  isAway = true
  attempts = 0
  delivered = 0

  async deliver({ messages }: { messages: readonly unknown[] }): Promise<RequestOutcome> {
    this.attempts++
    if (this.isAway) return { kind: 'retry', error: unavailable('down', 'Transient') }
    this.delivered += messages.length
    return { kind: 'delivered' }
  }

  async accepts(): Promise<boolean> {
    return true
  }

  async close(): Promise<void> {}
}

let worker: Worker | undefined
afterEach(async () => {
  await worker?.close()
  worker = undefined
})

/** A worker of an endpoint that is away, and how many messages each selection was of. */
async function begun(messagesOfBatches: readonly number[]) {
  const log = new MemoryLog({ store: new MemoryStore('telemetry', 1) })
  const append = async (messageCount: number, sequence: number): Promise<void> => {
    const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
    const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount, ...times }
    await log.append(0, stamp, simulatedBatch(sequence, messageCount, enqueuedAtMs))
  }
  for (const [sequence, messageCount] of messagesOfBatches.entries()) await append(messageCount, sequence)
  const endpoint = new Away()
  const selected: number[] = []
  const selector: RangeSelector = {
    ...everything,
    select: (range, ...rest) => {
      selected.push(range.messageCount)
      return everything.select(range, ...rest)
    },
  }
  worker = await startWorker({
    log,
    group: 'g',
    destination: endpoint,
    selector,
    deadLetters: { put: async () => {}, lettered: async () => new Map() },
    logger: silentLogger,
    metrics: new Metrics(metricsTable),
    insertDelayMs: 1,
  })
  return { endpoint, selected, append }
}

test('for an endpoint that is away nothing is selected again, and nothing more', async () => {
  const { endpoint, selected, append } = await begun([1])
  await expect.poll(() => endpoint.attempts).toBe(1)
  for (const sequence of [1, 2, 3]) await append(1, sequence)
  await expect.poll(() => endpoint.attempts).toBeGreaterThan(3)
  expect(selected).toEqual([1])
  endpoint.isAway = false
  await expect.poll(() => endpoint.delivered).toBe(4)
  expect(selected.reduce((sum, count) => sum + count, 0)).toBe(4)
})

test('what is held for an endpoint that is away is bounded, however much waits on the log [G-10]', async () => {
  const large = Math.floor(limits.requestRangeMessagesMax / 2)
  const { endpoint, selected } = await begun(Array(5).fill(large))
  await expect.poll(() => endpoint.attempts).toBeGreaterThan(1)
  expect(selected).toEqual([2 * large])
  endpoint.isAway = false
  await expect.poll(() => endpoint.delivered).toBe(5 * large)
  expect(Math.max(...selected)).toBe(2 * large)
})
