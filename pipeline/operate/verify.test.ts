import { expect, test } from 'vitest'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { simulatedBatch } from '#pipeline/workers/simulation/simulated-batch.ts'
import { type PartitionVerdict, renderVerdicts, verify } from './verify.ts'

function verdict(partition: number, change: Partial<PartitionVerdict> = {}): PartitionVerdict {
  return {
    partition,
    batches: 10,
    lagBatches: 1,
    messages: 90,
    rows: 90,
    missing: 0,
    double: 0,
    unreadBatches: 0,
    deadLetters: 0,
    replayed: 0,
    dropped: 0,
    uncheckedBatches: 0,
    expired: 0,
    foreignRows: 0,
    faultyOffsets: [],
    ...change,
  }
}

test('of many partitions that all lag, the faulty ones stand first in the one screen', () => {
  const verdicts = Array.from({ length: 256 }, (_, partition) => verdict(partition, { lagBatches: partition }))
  verdicts[200] = verdict(200, { double: 2, faultyOffsets: [4711] })
  verdicts[7] = verdict(7, { missing: 3, rows: 87, faultyOffsets: [42] })
  const lines = renderVerdicts(verdicts).trimEnd().split('\n')
  expect(lines.length).toBeLessThan(40)
  const partitions = lines.slice(1).map((line) => line.trim().split(/\s+/)[0])
  expect(partitions.slice(0, 3)).toEqual(['7', '200', '255'])
  expect(lines[1]).toMatch(/ 42$/)
  expect(lines.at(-1)).toBe('NOT as it should be: 3 messages missing, 2 rows double')
})

test('a position of a log that is gone says nothing of the one made anew: its batches are not delivered yet, not missing', async () => {
  const store = new MemoryStore('telemetry', 1)
  const log = new MemoryLog({ store })
  const stamp = { schemaVersion: 1, edgeId: 'e', epoch: 1, messageCount: 1, enqueuedAtMsFirst: 1, enqueuedAtMsLast: 1 }
  for (let sequence = 0; sequence < 3; sequence++) await log.append(0, { ...stamp, sequence }, simulatedBatch(sequence))
  const warehouse = { query: async () => [] } as unknown as Warehouse
  const verdictFor = async (logId: string) => {
    store.positions.set('g 0', { offset: 2, metadata: JSON.stringify({ v: 1, delivered: '', log: logId }) })
    return (await verify({ log, group: 'g', warehouse, deadLetters: undefined }))[0]
  }
  expect(await verdictFor(store.id)).toMatchObject({ lagBatches: 1, missing: 2 })
  expect(await verdictFor('gone')).toMatchObject({ lagBatches: 3, missing: 0 })
})
