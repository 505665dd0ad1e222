import type { SequenceRange } from './ledger.ts'
import type { DeviceSummary, RowSource } from './reconcile.ts'

/** A stored row as the checker sees it. */
export interface FakeRow {
  readonly deviceId: string
  readonly sequence: number
  readonly partition: number
  readonly offset: number
}

/** A row source over plain lists, read anew at each question; the model that the SQL of `clickhouse-rows.ts` must equal. */
export function fakeRowSource(...lists: readonly (readonly FakeRow[])[]): RowSource {
  const rows = (filter: (row: FakeRow) => boolean) => lists.flat().filter(filter)
  const ofDevice = (deviceId: string) => rows((row) => row.deviceId === deviceId)
  const devices = (runPrefix: string) => [
    ...new Set(rows((row) => row.deviceId.startsWith(runPrefix)).map(({ deviceId }) => deviceId)),
  ]
  return {
    rowCount: async (runPrefix) => rows((row) => row.deviceId.startsWith(runPrefix)).length,
    summaries: async (runPrefix) => new Map(devices(runPrefix).map((id) => [id, summaryOf(ofDevice(id))])),
    storedRanges: async (deviceId) => rangesOf(ofDevice(deviceId).map(({ sequence }) => sequence)),
    repeats: async (deviceId) => repeatsOf(ofDevice(deviceId)),
    disorders: async (runPrefix) =>
      new Map(
        devices(runPrefix)
          .map((id) => [id, disordersIn(ofDevice(id))] as const)
          .filter(([, count]) => count > 0),
      ),
    disordersOf: async (deviceId, except) =>
      disordersIn(
        ofDevice(deviceId).filter(({ sequence }) => !except.some(({ from, to }) => sequence >= from && sequence < to)),
      ),
  }
}

function summaryOf(rows: readonly FakeRow[]): DeviceSummary {
  const sequences = rows.map(({ sequence }) => sequence)
  return {
    rows: rows.length,
    distinct: new Set(sequences).size,
    first: Math.min(...sequences),
    last: Math.max(...sequences),
    partitions: new Set(rows.map(({ partition }) => partition)).size,
  }
}

function rangesOf(sequences: readonly number[]): SequenceRange[] {
  const ranges: { from: number; to: number }[] = []
  for (const sequence of [...new Set(sequences)].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last?.to === sequence) last.to++
    else ranges.push({ from: sequence, to: sequence + 1 })
  }
  return ranges
}

function repeatsOf(rows: readonly FakeRow[]): { sequence: number; rows: number }[] {
  const counts = new Map<number, number>()
  for (const { sequence } of rows) counts.set(sequence, (counts.get(sequence) ?? 0) + 1)
  return [...counts].filter(([, count]) => count > 1).map(([sequence, count]) => ({ sequence, rows: count }))
}

function disordersIn(rows: readonly FakeRow[]): number {
  const byOffset = new Map<string, { partition: number; offset: number; first: number; last: number }>()
  for (const { partition, offset, sequence } of rows) {
    const key = `${partition}/${offset}`
    const group = byOffset.get(key) ?? { partition, offset, first: sequence, last: sequence }
    group.first = Math.min(group.first, sequence)
    group.last = Math.max(group.last, sequence)
    byOffset.set(key, group)
  }
  let highest = new Map<number, number>()
  let disorders = 0
  for (const { partition, first, last } of [...byOffset.values()].sort((a, b) => a.offset - b.offset)) {
    const before = highest.get(partition) ?? -1
    if (first <= before) disorders++
    highest = highest.set(partition, Math.max(before, last))
  }
  return disorders
}
