import { beforeEach, describe, expect, test } from 'vitest'
import type { HeldRange } from '#pipeline/endpoints/delivery-range.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { simulatedBatch } from '#pipeline/workers/simulation/simulated-batch.ts'
import { silentLogger } from '#runtime/logger.ts'
import { renderVerifiedEndpoint } from './render-endpoint-verdicts.ts'
import { type EndpointVerdict, isEndpointVerified, verifyEndpoint } from './verify-endpoint.ts'

const beganMs = Date.UTC(2026, 0, 2)
const group = 'penstock.endpoint.e.1'

describe('an endpoint against the log', () => {
  let store: MemoryStore
  let log: MemoryLog
  let deadLetters: MemoryLog
  /** Messages that today's routes select, by offset. */
  let selected: number[]

  beforeEach(async () => {
    store = new MemoryStore('penstock.telemetry', 1)
    log = new MemoryLog({ store })
    deadLetters = new MemoryLog({ store: new MemoryStore('penstock.dead-letters', 1) })
    selected = []
    for (const count of [2, 0, 1, 3, 1]) await append(count)
    store.positions.set(`${group} 0`, { offset: 5, metadata: '' })
  })

  const stampAt = (offset: number) => ({
    schemaVersion: 1,
    edgeId: 'e',
    epoch: 1,
    sequence: offset,
    messageCount: 4,
    enqueuedAtMsFirst: beganMs + offset * 60_000,
    enqueuedAtMsLast: beganMs + offset * 60_000,
  })

  async function append(count: number): Promise<void> {
    const stamp = stampAt(selected.length)
    selected.push(count)
    await log.append(0, stamp, simulatedBatch(stamp.sequence, 4, stamp.enqueuedAtMsFirst))
  }

  const held = (offset: number, last: number | undefined, messageCount: number | undefined): HeldRange => ({
    offset,
    last,
    messageCount,
    enqueuedAtMsLast: stampAt(last ?? offset).enqueuedAtMsLast,
  })

  async function verdictOf(ranges: readonly HeldRange[], routesSinceMs = 0, startsAtMs = 0): Promise<EndpointVerdict> {
    const [verdict = expect.fail('there is a partition')] = await verifyEndpoint({
      log: { kind: 'telemetry', log },
      group,
      endpoint: 'e',
      startsAtMs,
      routesSinceMs,
      countOf: async ({ offset }) => selected[offset] ?? 0,
      async *held(_partition, from, end) {
        yield* ranges.filter(({ offset }) => offset >= from && offset < end)
      },
      deadLetters,
    })
    return verdict
  }

  test.each([
    ['that counts its rows by position', [held(0, undefined, 3), held(3, undefined, 4)]],
    ['that names first and last', [held(0, 2, 3), held(3, 3, 3), held(4, 4, 1)]],
    ['that only says what is there', [held(0, 0, undefined), held(2, 4, undefined)]],
    [
      'that tells parts of a batch one by one',
      [held(0, 2, 3), held(3, undefined, 1), held(3, undefined, 2), held(4, 4, 1)],
    ],
  ])('%s holds what the routes select', async (_how, ranges) => {
    const verdict = await verdictOf(ranges)
    expect(verdict).toMatchObject({ selected: 7, missing: 0, surplus: 0, differing: 0, lagBatches: 0 })
    expect(isEndpointVerified([verdict])).toBe(true)
  })

  test('what is missing and what is too many is found at its offset, and does not cancel out', async () => {
    const verdict = await verdictOf([held(0, 2, 2), held(3, 3, 4)])
    expect(verdict).toMatchObject({ missing: 2, surplus: 1, faultyOffsets: [0, 3, 4] })
    expect(isEndpointVerified([verdict])).toBe(false)
  })

  test('an endpoint that tells what it holds out of order is not believed: what is there would be called missing', async () => {
    await expect(verdictOf([held(3, 3, 3), held(0, 2, 3), held(4, 4, 1)])).rejects.toThrow(
      'what is held from 3 to 5 is not at 0',
    )
  })

  test('batches from before the routes in force are no false alarm, and it is said since when they are', async () => {
    const routesSinceMs = stampAt(2).enqueuedAtMsLast + 1
    const verdict = await verdictOf([held(0, 2, 12), held(3, 3, 3), held(4, 4, 1)], routesSinceMs)
    expect(verdict).toMatchObject({ differing: 9, missing: 0, surplus: 0 })
    expect(isEndpointVerified([verdict])).toBe(true)
    const text = renderVerifiedEndpoint({ name: 'e', kind: 'postgres', verdicts: [verdict] }, routesSinceMs)
    expect(text).toContain('routes changed since, at 2026-01-02T00:02:00.001Z: 9 messages from before')
    // What came later, today's routes decided.
    expect(await verdictOf([held(0, 2, 12), held(3, 3, 3)], routesSinceMs)).toMatchObject({ missing: 1 })
  })

  test('dead letters of the endpoint are accounted for, those of another are not', async () => {
    const box = openDeadLetterBox({ log: deadLetters, warehouse: undefined, logger: silentLogger })
    const put = (endpoint: string, offset: number) => {
      const stamp = { ...stampAt(offset), messageCount: 1 }
      const record = { offset, stamp, value: simulatedBatch(offset, 1) }
      const where = { topic: log.topic, partition: 0, record, messageFirst: 1 }
      return box.put({ ...where, reason: 'ENDPOINT_REFUSED', text: 'bad', endpoint })
    }
    await put('e', 3)
    await put('other', 4)
    const verdict = await verdictOf([held(0, 2, 3), held(3, undefined, 2)])
    expect(verdict).toMatchObject({ deadLetters: 1, missing: 1, selected: 6 })
  })

  test('what has not been delivered yet, or came before the endpoint began, is not missing', async () => {
    store.positions.set(`${group} 0`, { offset: 3, metadata: '' })
    expect(await verdictOf([held(2, 2, 1)], 0, stampAt(1).enqueuedAtMsFirst)).toMatchObject({
      batches: 4,
      lagBatches: 2,
      selected: 1,
      missing: 0,
    })
  })

  test('where retention removed the first batches of an insert, the others of it are not checked', async () => {
    await log.retain({
      nowMs: stampAt(2).enqueuedAtMsLast,
      ageMsMax: 60_000,
      partitionBytesMax: 1e9,
      neededBy: [],
      force: true,
    })
    const [range] = await log.ranges()
    expect(range).toEqual({ first: 1, next: 5 })
    expect(await verdictOf([held(0, 2, 3), held(3, 4, 4)])).toMatchObject({
      uncheckedBatches: 2,
      missing: 0,
      selected: 4,
    })
  })

  test('rows under these positions from another time are of an older log', async () => {
    const foreign = { ...held(3, undefined, 9), enqueuedAtMsLast: beganMs - 1 }
    expect(await verdictOf([held(0, 2, 3), foreign])).toMatchObject({ missing: 4, surplus: 0 })
  })
})
