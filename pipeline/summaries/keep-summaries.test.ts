import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { keepSummaries } from './keep-summaries.ts'
import { PartWatch } from './part-watch.ts'

/** One part, and what each of the computations is told of it. */
function kept(compute: () => Promise<void>, isDue = () => true) {
  const part = { partition_id: 'a', engine: 'MergeTree', first: 1, last: 1, from_s: 7, to_s: 9, rows: 3, now_ms: 5 }
  const [clock, told, warnings] = [virtualClock(), [] as unknown[], [] as string[]]
  const end = keepSummaries({
    parts: new PartWatch({ query: async () => [part] } as unknown as Warehouse),
    what: 'a table',
    compute: async ({ partitions }) => {
      told.push(partitions[0]?.newFromMs)
      await compute()
    },
    isDue,
    pauseFactor: 1,
    clock,
    logger: { ...silentLogger, warn: (text) => void warnings.push(text) },
  })
  const rounds = async (count: number): Promise<void> => {
    for (let round = 0; round < count; round++) {
      await setImmediate()
      clock.step(clock.nowMs() + limits.summaryPauseMs)
    }
    await setImmediate()
  }
  const ended = async (): Promise<void> => {
    const done = end()
    await rounds(1)
    await done
  }
  return { told, warnings, rounds, ended }
}

test('what failed is told again until it went well, and said aloud once it failed for long', async () => {
  let failing = true
  const { told, warnings, rounds, ended } = kept(async () => {
    if (failing) throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'away')
  })
  await rounds(limits.tableQuietFailures + 2)
  expect(told.every((from) => from === 7_000)).toBe(true)
  expect(warnings).toEqual(['a table cannot be computed; trying again'])
  failing = false
  await rounds(3)
  expect(told.at(-1)).toBeUndefined()
  await ended()
})

test('nothing is computed where it is another process that does it', async () => {
  const { told, rounds, ended } = kept(
    async () => {},
    () => false,
  )
  await rounds(3)
  expect(told).toEqual([])
  await ended()
})
