/**
 * Compares what is on the log with what is in ClickHouse, by position.
 *
 *   log, one partition   │ 0 │ 1 │ 2 │ 3 │ 4 │ 5 │ 6 │      each batch is stamped with its message count
 *   rows' log_offset       0           3       5             the first offset of the insert that stored them
 *   a group of rows        0..2        3..4    5..           must hold as many rows as its batches hold messages
 *
 * Batches that are dead letters count nothing. A group whose first batches retention has removed can't be checked.
 */
import type { Log } from '#pipeline/log/log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { listLetterPositions, renderTable } from './dead-letters.ts'
import { DeliveredSequences } from './delivered-sequences.ts'

const readBytesMax = 32 * 1024 * 1024
const groupsMax = 50_000

export interface PartitionVerdict {
  readonly partition: number
  /** Batches kept on the log, and of these how many no one has delivered yet. */
  readonly batches: number
  readonly lagBatches: number
  /** Messages in delivered batches, without dead letters; and the rows that stand for them. */
  readonly messages: number
  readonly rows: number
  readonly missing: number
  readonly double: number
  readonly deadLetters: number
  /** Delivered batches at the log's beginning that belong to an insert whose first batch is no longer kept. */
  readonly uncheckedBatches: number
  /** First offsets of groups that are not as they should be, at most ten. */
  readonly faultyOffsets: readonly number[]
}

export interface VerifyOptions {
  readonly log: Log
  readonly group: string
  readonly warehouse: Warehouse
  /** The dead-letter topic; without it dead letters count as missing. */
  readonly deadLetters: Log | undefined
}

/** Reads the whole log and every row's position: for a look by hand or after a test, not every minute. */
export async function verify({ log, group, warehouse, deadLetters }: VerifyOptions): Promise<PartitionVerdict[]> {
  const positions = await log.positions(group)
  const letters = deadLetters ? await listLetterPositions(deadLetters, log.topic) : new Map<number, Set<number>>()
  const verdicts: PartitionVerdict[] = []
  for (const [partition, { first, next }] of (await log.ranges()).entries()) {
    const delivered = Math.min(next, positions[partition]?.offset ?? first)
    const groups = await rowGroups(warehouse, partition, first, delivered)
    verdicts.push(
      await verifyPartition(log, partition, { first, delivered, next }, groups, letters.get(partition) ?? new Set()),
    )
  }
  return verdicts
}

interface RowGroup {
  readonly offset: number
  readonly rows: number
}

async function verifyPartition(
  log: Log,
  partition: number,
  { first, delivered, next }: { readonly first: number; readonly delivered: number; readonly next: number },
  groups: readonly RowGroup[],
  letters: ReadonlySet<number>,
): Promise<PartitionVerdict> {
  let [messages, rows, missing, double, unchecked, lettersSeen] = [0, 0, 0, 0, 0, 0]
  const faultyOffsets: number[] = []
  let index = -1
  let expected = 0
  const seen = new DeliveredSequences()
  const closeGroup = () => {
    const found = groups[index]?.rows ?? 0
    rows += found
    messages += expected
    missing += Math.max(0, expected - found)
    double += Math.max(0, found - expected)
    const offset = groups[index]?.offset ?? first
    if (found !== expected && faultyOffsets.length < 10) faultyOffsets.push(offset)
    expected = 0
  }
  // Before the first group: kept from the very beginning these batches must have rows; else their group began earlier.
  let checkable = first === 0
  for (let offset = first; offset < delivered; ) {
    const records = await log.read(partition, offset, readBytesMax)
    if (records.length === 0) break
    for (const record of records) {
      if (record.offset >= delivered) break
      while ((groups[index + 1]?.offset ?? Number.POSITIVE_INFINITY) <= record.offset) {
        if (index >= 0 || expected > 0) closeGroup()
        index++
        checkable = true
      }
      if (letters.has(record.offset)) {
        lettersSeen++
        continue
      }
      // Workers leave out what an edge appended twice, so it counts once here too.
      if (seen.has(record.stamp)) continue
      if (checkable) expected += record.stamp.messageCount
      else unchecked++
      seen.add(record.stamp)
    }
    offset = (records.at(-1)?.offset ?? offset) + 1
  }
  if (index >= 0 || expected > 0) closeGroup()
  return {
    partition,
    batches: next - first,
    lagBatches: next - delivered,
    messages,
    rows,
    missing,
    double,
    deadLetters: lettersSeen,
    uncheckedBatches: unchecked,
    faultyOffsets,
  }
}

async function rowGroups(warehouse: Warehouse, partition: number, first: number, end: number): Promise<RowGroup[]> {
  const groups: RowGroup[] = []
  for (let from = first; ; ) {
    const page = await warehouse.query(
      `SELECT log_offset AS offset, count() AS rows FROM ${warehouseDatabase}.telemetry ` +
        `WHERE log_partition = ${partition} AND log_offset >= ${from} AND log_offset < ${end} ` +
        `GROUP BY log_offset ORDER BY log_offset LIMIT ${groupsMax}`,
    )
    for (const { offset, rows } of page) groups.push({ offset: Number(offset), rows: Number(rows) })
    const last = groups.at(-1)
    if (page.length < groupsMax || !last) return groups
    from = last.offset + 1
  }
}

/** True if nothing is missing and nothing double; lag is no fault. */
export function isVerified(verdicts: readonly PartitionVerdict[]): boolean {
  return verdicts.every(({ missing, double }) => missing === 0 && double === 0)
}

/** The verdicts in one screen. */
export function renderVerdicts(verdicts: readonly PartitionVerdict[]): string {
  const sum = (
    field: 'batches' | 'lagBatches' | 'messages' | 'rows' | 'missing' | 'double' | 'deadLetters' | 'uncheckedBatches',
  ) => verdicts.reduce((total, verdict) => total + verdict[field], 0)
  const cells = (name: string, of: (field: Parameters<typeof sum>[0]) => number, offsets: string) => [
    name,
    ...(
      ['batches', 'lagBatches', 'messages', 'rows', 'missing', 'double', 'deadLetters', 'uncheckedBatches'] as const
    ).map((field) => of(field).toLocaleString('en')),
    offsets,
  ]
  const head = [
    'partition',
    'batches',
    'lag',
    'messages',
    'rows',
    'missing',
    'double',
    'dead',
    'unchecked',
    'look at offset',
  ]
  // With many partitions only those that need a look are shown, so that it stays one screen.
  const shown =
    verdicts.length <= 32
      ? verdicts
      : verdicts.filter(({ missing, double, lagBatches }) => missing + double + lagBatches > 0).slice(0, 32)
  const rows = shown.map((verdict) =>
    cells(String(verdict.partition), (field) => verdict[field], verdict.faultyOffsets.join(' ')),
  )
  rows.push(cells('all', sum, ''))
  const verdict = isVerified(verdicts)
    ? `every delivered message is stored exactly once; ${sum('lagBatches').toLocaleString('en')} batches wait`
    : `NOT as it should be: ${sum('missing').toLocaleString('en')} messages missing, ${sum('double').toLocaleString('en')} rows double`
  return `${renderTable(head, rows)}\n${verdict}\n`
}
