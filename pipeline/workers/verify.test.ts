import { expect, test } from 'vitest'
import { type PartitionVerdict, renderVerdicts } from './verify.ts'

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
