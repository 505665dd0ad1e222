/**
 * Compares what is on the log with what is in ClickHouse, by position.
 *
 *   log, one partition   │ 0 │ 1 │ 2 │ 3 │ 4 │ 5 │ 6 │      each batch is stamped with its message count
 *   rows' log_offset       0           3       5             the first offset of the insert that stored them
 *   a group of rows        0..2        3..4    5..           must hold as many rows as its batches hold messages
 *
 * What can't be compared is not called wrong:
 *   unchecked   batches of a group whose first ones retention has removed from the log
 *   dead        messages that became dead letters, also when they were replayed: that made them another batch
 *   expired     messages older than the table's TTL whose rows are gone
 *   not read    batches that the log did not hand out when asked; what is not read is not verified
 *   foreign     rows at these positions from a time at which this log's batches were not written: of an older log
 */
import type { Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { type LetteredBatch, listLetteredBatches } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import { DeliveredSequences } from '#pipeline/workers/delivered-sequences.ts'
import { noteFromText } from '#pipeline/workers/intent.ts'
import { assert } from '#runtime/assert.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { dayMs } from '#schemas/time.ts'
import { renderTable } from './render-table.ts'

const readBytesMax = 32 * 1024 * 1024
const groupsMax = 50_000
const table = `${warehouseDatabase}.telemetry`

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
  /** Messages, not letters; and of these how many were replayed, so that they are messages of later batches too, or dropped. */
  readonly deadLetters: number
  readonly replayed: number
  readonly dropped: number
  /** Delivered batches at the log's beginning that belong to an insert whose first batch is no longer kept. */
  readonly uncheckedBatches: number
  /** Delivered batches that the log did not hand out; nothing is said of them. */
  readonly unreadBatches: number
  /** Messages older than the table's TTL that have no rows (any more). */
  readonly expired: number
  /** Rows at these positions that an older log of the same name has left. */
  readonly foreignRows: number
  /** First offsets of groups that are not as they should be, at most ten. */
  readonly faultyOffsets: readonly number[]
}

export interface VerifyOptions {
  readonly log: Log
  readonly group: string
  readonly warehouse: Warehouse
  /** The dead-letter topic; without it dead letters count as missing. */
  readonly deadLetters: Log | undefined
  /** UTC milliseconds, against which the table's TTL is reckoned; default: now. */
  readonly nowMs?: number
}

/** Reads the whole log and every row's position: for a look by hand or after a test, not every minute. */
export async function verify(options: VerifyOptions): Promise<PartitionVerdict[]> {
  const { log, group, warehouse, deadLetters } = options
  const positions = await log.positions(group)
  const logId = await log.id()
  const letters = deadLetters ? await listLetteredBatches(deadLetters, log.topic) : new Map()
  const expiredBeforeMs = await expiryOf(warehouse, options.nowMs ?? Date.now())
  const verdicts: PartitionVerdict[] = []
  for (const [partition, { first, next }] of (await log.ranges()).entries()) {
    const { offset = first, metadata = '' } = positions[partition] ?? {}
    const note = noteFromText(log.topic, partition, offset, metadata)
    // A position of a log that is gone says nothing of the one made anew.
    const isOfThis = note.logId === undefined || note.logId === logId
    const delivered = isOfThis ? Math.min(next, offset) : first
    const groups = await rowGroups(warehouse, partition, first, delivered)
    const check = new PartitionCheck({ warehouse, partition, first, groups, expiredBeforeMs })
    await check.read(log, delivered, letters.get(partition) ?? new Map())
    verdicts.push({ partition, batches: next - first, lagBatches: next - delivered, ...check.counts })
  }
  return verdicts
}

/** Rows that share a position: those of one insert, and of older logs perhaps. */
interface RowGroup {
  readonly offset: number
  readonly rows: number
  readonly fromMs: number
  readonly toMs: number
}

interface CheckOptions {
  readonly warehouse: Warehouse
  readonly partition: number
  readonly first: number
  readonly groups: readonly RowGroup[]
  readonly expiredBeforeMs: number
}

/** Batches that one group of rows must stand for. */
interface OpenGroup {
  readonly rows: RowGroup | undefined
  messages: number
  expiredMessages: number
  fromMs: number
  toMs: number
}

const nothing = { messages: 0, expiredMessages: 0, fromMs: Number.POSITIVE_INFINITY, toMs: 0 }

class PartitionCheck {
  readonly #options: CheckOptions
  #counts = {
    messages: 0,
    rows: 0,
    missing: 0,
    double: 0,
    deadLetters: 0,
    replayed: 0,
    dropped: 0,
    uncheckedBatches: 0,
    unreadBatches: 0,
    expired: 0,
    foreignRows: 0,
  }
  readonly #faultyOffsets: number[] = []
  readonly #seen = new DeliveredSequences()
  #group: OpenGroup = { rows: undefined, ...nothing }
  #nextGroup = 0
  /** Before the first group: kept from the very beginning these batches must have rows; else their group began earlier. */
  #checkable: boolean

  constructor(options: CheckOptions) {
    this.#options = options
    this.#checkable = options.first === 0
  }

  get counts(): Omit<PartitionVerdict, 'partition' | 'batches' | 'lagBatches'> {
    return { ...this.#counts, faultyOffsets: this.#faultyOffsets }
  }

  async read(log: Log, end: number, letters: ReadonlyMap<number, LetteredBatch>): Promise<void> {
    const { first, partition } = this.#options
    const walk = { partition, from: first, end, readBytesMax }
    const read = await walkLog(log, walk, (record) => this.#take(record, letters.get(record.offset)))
    this.#counts.unreadBatches = Math.max(0, end - read)
    // Of a group that was not read to its end nothing can be said.
    if (read >= end || this.#options.groups[this.#nextGroup]?.offset === read) await this.#close()
  }

  async #take({ offset, stamp }: LogRecord, lettered: LetteredBatch | undefined): Promise<void> {
    const fromMs = Math.min(stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
    const toMs = Math.max(stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
    await this.#beginGroups(offset, fromMs)
    let dead = 0
    for (const { messageCount, state } of lettered?.letters.values() ?? []) {
      dead += messageCount
      this.#counts.deadLetters += messageCount
      if (state === 'replayed' || state === 'dropped') this.#counts[state] += messageCount
    }
    // Workers leave out what an edge appended twice, so it counts once here too.
    if (this.#seen.has(stamp)) return
    if (lettered?.readable !== false) this.#seen.add(stamp)
    const messages = Math.max(0, stamp.messageCount - dead)
    if (!this.#checkable) {
      if (messages > 0) this.#counts.uncheckedBatches++
      return
    }
    const group = this.#group
    group.messages += messages
    if (toMs < this.#options.expiredBeforeMs) group.expiredMessages += messages
    group.fromMs = Math.min(group.fromMs, fromMs)
    group.toMs = Math.max(group.toMs, toMs)
  }

  /** Groups that begin at or before the batch at `offset`; those of an older log alone begin nothing. */
  async #beginGroups(offset: number, fromMs: number): Promise<void> {
    const { groups } = this.#options
    for (;;) {
      const rows = groups[this.#nextGroup]
      if (!rows || rows.offset > offset) return
      this.#nextGroup++
      if (rows.toMs < fromMs) {
        this.#counts.foreignRows += rows.rows
        continue
      }
      await this.#close()
      this.#group = { rows, ...nothing }
      this.#checkable = true
    }
  }

  async #close(): Promise<void> {
    const { rows, messages, expiredMessages } = this.#group
    const found = await this.#ownRows(this.#group)
    this.#counts.foreignRows += (rows?.rows ?? 0) - found
    this.#counts.rows += found
    this.#counts.messages += messages
    const lacking = Math.max(0, messages - found)
    const expired = Math.min(lacking, expiredMessages)
    this.#counts.expired += expired
    this.#counts.missing += lacking - expired
    this.#counts.double += Math.max(0, found - messages)
    if (found !== messages - expired && this.#faultyOffsets.length < 10)
      this.#faultyOffsets.push(rows?.offset ?? this.#options.first)
  }

  /** Rows of the group that were taken in while its batches were written. */
  async #ownRows({ rows, messages, fromMs, toMs }: OpenGroup): Promise<number> {
    if (!rows) return 0
    // A batch in parts may hold messages outside its stamp's times, so only a wrong count is looked into.
    if (rows.rows === messages || (rows.fromMs >= fromMs && rows.toMs <= toMs)) return rows.rows
    const { warehouse, partition } = this.#options
    const [answer] = await warehouse.query(
      `SELECT count() AS rows FROM ${table} WHERE log_partition = ${partition} AND log_offset = ${rows.offset} ` +
        `AND enqueued_at >= fromUnixTimestamp64Milli(toInt64(${fromMs}), 'UTC') ` +
        `AND enqueued_at <= fromUnixTimestamp64Milli(toInt64(${toMs}), 'UTC')`,
    )
    const found = Number(answer?.rows)
    assert(found >= 0 && found <= rows.rows, `of ${rows.rows} rows some lie in a time, not ${found}`)
    return found
  }
}

async function rowGroups(warehouse: Warehouse, partition: number, first: number, end: number): Promise<RowGroup[]> {
  const groups: RowGroup[] = []
  for (let from = first; ; ) {
    const page = await warehouse.query(
      'SELECT log_offset AS offset, count() AS rows, toUnixTimestamp64Milli(min(enqueued_at)) AS from_ms, ' +
        `toUnixTimestamp64Milli(max(enqueued_at)) AS to_ms FROM ${table} ` +
        `WHERE log_partition = ${partition} AND log_offset >= ${from} AND log_offset < ${end} ` +
        `GROUP BY log_offset ORDER BY log_offset LIMIT ${groupsMax}`,
    )
    for (const { offset, rows, from_ms, to_ms } of page)
      groups.push({ offset: Number(offset), rows: Number(rows), fromMs: Number(from_ms), toMs: Number(to_ms) })
    assertGroups(groups.slice(-page.length), from, end)
    const last = groups.at(-1)
    if (page.length < groupsMax || !last) return groups
    from = last.offset + 1
  }
}

/** A verdict is made of this answer: positions that were asked for, in their order, and counts. */
function assertGroups(groups: readonly RowGroup[], from: number, end: number): void {
  let next = from
  for (const { offset, rows, fromMs, toMs } of groups) {
    assert(offset >= next && offset < end, `ClickHouse answers positions from ${next} to ${end}, and not ${offset}`)
    assert(rows > 0 && fromMs <= toMs, `rows under position ${offset} are counted with their times`)
    next = offset + 1
  }
}

/** Before when rows may have been removed by the table's TTL; a TTL that Penstock did not write is not understood. */
async function expiryOf(warehouse: Warehouse, nowMs: number): Promise<number> {
  try {
    const [row] = await warehouse.query(
      `SELECT engine_full FROM system.tables WHERE database = '${warehouseDatabase}' AND name = 'telemetry'`,
    )
    const found = /TTL toDateTime\(enqueued_at\) \+ toIntervalDay\((\d+)\)/.exec(String(row?.engine_full))
    return found ? nowMs - Number(found[1]) * dayMs : 0
  } catch (error) {
    // Analysts' users may not read it; then nothing counts as expired.
    if (!isPenstockError(error, 'WAREHOUSE_REFUSED')) throw error
    return 0
  }
}

/** True if all was read, nothing is missing and nothing double; lag is no fault. */
export function isVerified(verdicts: readonly PartitionVerdict[]): boolean {
  return verdicts.every(({ missing, double, unreadBatches }) => missing + double + unreadBatches === 0)
}

/** Lines of partitions in one screen. */
const partitionsShownMax = 32

const columns = [
  ['batches', 'batches'],
  ['lag', 'lagBatches'],
  ['messages', 'messages'],
  ['rows', 'rows'],
  ['missing', 'missing'],
  ['double', 'double'],
  ['dead', 'deadLetters'],
  ['replayed', 'replayed'],
  ['dropped', 'dropped'],
  ['unchecked', 'uncheckedBatches'],
  ['not read', 'unreadBatches'],
  ['expired', 'expired'],
  ['foreign', 'foreignRows'],
] as const

/** The verdicts in one screen. */
export function renderVerdicts(verdicts: readonly PartitionVerdict[]): string {
  type Field = (typeof columns)[number][1]
  const sum = (field: Field) => verdicts.reduce((total, verdict) => total + verdict[field], 0)
  const cells = (name: string, of: (field: Field) => number, offsets: string) => [
    name,
    ...columns.map(([, field]) => of(field).toLocaleString('en')),
    offsets,
  ]
  // Of many partitions only those that need a look are shown, faulty ones first, so that it stays one screen.
  const faultsOf = ({ missing, double, unreadBatches }: PartitionVerdict) => missing + double + unreadBatches
  const shown =
    verdicts.length <= partitionsShownMax
      ? verdicts
      : verdicts
          .filter((verdict) => faultsOf(verdict) + verdict.lagBatches > 0)
          .sort((one, other) => faultsOf(other) - faultsOf(one) || other.lagBatches - one.lagBatches)
          .slice(0, partitionsShownMax)
  const rows = shown.map((verdict) =>
    cells(String(verdict.partition), (field) => verdict[field], verdict.faultyOffsets.join(' ')),
  )
  rows.push(cells('all', sum, ''))
  const text = (field: Field) => sum(field).toLocaleString('en')
  const lines: string[] = []
  if (isVerified(verdicts))
    lines.push(`every delivered message is stored exactly once; ${text('lagBatches')} batches wait`)
  if (sum('missing') + sum('double') > 0)
    lines.push(`NOT as it should be: ${text('missing')} messages missing, ${text('double')} rows double`)
  if (sum('unreadBatches') > 0)
    lines.push(
      `NOT read: ${text('unreadBatches')} batches, which the log did not hand out; nothing is said of them, try again`,
    )
  const dead = sum('deadLetters')
  const open = dead - sum('replayed') - sum('dropped')
  if (dead > 0)
    lines.push(
      `${text('deadLetters')} messages became dead letters: ${open.toLocaleString('en')} open${open > 0 ? ' (penstock dead-letters list)' : ''}, ` +
        `${text('replayed')} replayed, ${text('dropped')} dropped`,
    )
  if (sum('uncheckedBatches') > 0)
    lines.push(`${text('uncheckedBatches')} batches not checked: the first batch of their insert has left the log`)
  if (sum('expired') > 0) lines.push(`${text('expired')} messages have no rows and are older than the table's TTL`)
  if (sum('foreignRows') > 0)
    lines.push(
      `${text('foreignRows')} rows have these positions from another time: an older log of this name left them`,
    )
  const head = ['partition', ...columns.map(([name]) => name), 'look at offset']
  return `${renderTable(head, rows)}\n${lines.join('\n')}\n`
}
