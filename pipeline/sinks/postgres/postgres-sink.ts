/**
 * Messages as rows of a PostgreSQL table, exactly once: rows and the note of their range are one transaction.
 *
 *   BEGIN ─▶ INSERT note ON CONFLICT DO NOTHING ─▶ it was there: the range is stored, nothing to do
 *                      └─▶ COPY rows ─▶ COMMIT    a fault before it: neither rows nor note
 *
 *   penstock_ranges (group_name, topic, partition, first, part)   last, rows, and the times of the earliest and latest of them
 */
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { type DeliveryRange, type HeldRange, type RowGroup, storedCount } from '#pipeline/endpoints/delivery-range.ts'
import { EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { assert } from '#runtime/assert.ts'
import { systemClock } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { OutgoingRules } from '#runtime/outgoing-addresses.ts'
import type { PostgresSettings } from '#schemas/endpoint-kinds/postgres.ts'
import { PenstockError } from '#schemas/errors.ts'
import { copiedColumns, copyRow } from './copy-text.ts'
import { openPool, statementMsMax } from './postgres-connection.ts'
import { postgresFault } from './postgres-fault.ts'

export interface PostgresSinkOptions {
  readonly name: string
  /** Consumer group of the endpoint: names its notes. */
  readonly group: string
  readonly settings: PostgresSettings
  readonly rules: OutgoingRules
}

/** Inserts between two looks for old notes. */
const insertsBetween = 100
/** Ranges that are asked for at once. */
const heldAtOnceMax = 1_000
/** Far longer than two inserts of one range can be apart. */
const noteDaysKept = 7

export class PostgresSink implements TableSink {
  readonly atomic = true
  readonly name: string
  /** COPY, COMMIT and the note each have `statementMsMax`. */
  readonly insertMsMax = 4 * statementMsMax
  readonly #group: string
  readonly #settings: PostgresSettings
  readonly #pool: pg.Pool
  #tablesMade: Promise<void> | undefined
  #insertCount = 0
  #closing: Promise<void> | undefined

  constructor({ name, group, settings, rules }: PostgresSinkOptions) {
    this.name = name
    this.#group = group
    this.#settings = settings
    this.#pool = openPool(settings, rules)
  }

  async insert(selected: SelectedRange, _token: string, expiresMonotonicMs: number): Promise<void> {
    await this.#madeTables()
    await this.#transaction(async (client) => {
      // Notes are removed after days; a worker that slept so long must not begin.
      if (systemClock.monotonicMs() > expiresMonotonicMs)
        throw unavailable('the range may belong to another worker by now', 'Transient')
      if (!(await this.#note(client, selected.range))) return
      const copy = client.query(
        copyFrom(`COPY ${quoted(this.#settings.table)} (${copiedColumns.join(', ')}) FROM STDIN`),
      )
      await pipeline(this.#rows(selected), copy)
      const { messageCount } = selected.range
      assert(
        copy.rowCount === messageCount,
        `a range of ${messageCount} messages is as many rows, not ${copy.rowCount}`,
      )
      await this.#forgetOldNotes(client, selected.range)
    })
  }

  async stored(range: DeliveryRange): Promise<number> {
    await this.#madeTables()
    const { rows } = await this.#query(
      `SELECT 1 FROM ${this.#notes} WHERE group_name = $1 AND topic = $2 AND partition = $3 AND first = $4 AND part = $5`,
      this.#key(range),
    )
    assert(rows.length <= 1, 'a range has one note')
    return storedCount(range, rows.length > 0)
  }

  async newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined> {
    await this.#madeTables()
    const { rows } = await this.#query<NoteGroup>(
      `SELECT first, max(CASE WHEN part = '' THEN last END) AS last, sum(row_count)::bigint AS row_count,
              min(enqueued_first) AS enqueued_first, max(enqueued_last) AS enqueued_last
       FROM ${this.#notes}
       WHERE group_name = $1 AND partition = $2 AND first < $3 AND enqueued_last >= $4
       GROUP BY first ORDER BY first DESC LIMIT 1`,
      [this.#group, partition, end, new Date(sinceMs).toISOString()],
    )
    const [group] = rows
    if (group === undefined) return undefined
    assert(group.enqueued_first <= group.enqueued_last, 'the earliest of the newest rows is not behind the latest')
    const offset = countOf(group.first)
    assert(offset < end, `the newest range below ${end} does not begin at ${offset}`)
    return {
      offset,
      rowCount: countOf(group.row_count),
      enqueuedAtMsFirst: group.enqueued_first.getTime(),
      enqueuedAtMsLast: group.enqueued_last.getTime(),
      last: group.last === null ? undefined : countOf(group.last),
    }
  }

  /**
   * By the notes, which say whose ranges they are, and by the rows that are there: others may fill the table, too. Notes that are no longer
   * kept are of ranges that are not told of.
   */
  async *held(partition: number, from: number, end: number): AsyncGenerator<HeldRange> {
    await this.#madeTables()
    for (let next = from; ; ) {
      const { rows } = await this.#query<HeldNote>(
        `SELECT first, max(CASE WHEN part = '' THEN last END) AS last, max(enqueued_last) AS enqueued_last,
                LEAST(sum(row_count), (SELECT count(*) FROM ${quoted(this.#settings.table)}
                  WHERE log_partition = $2 AND log_offset BETWEEN notes.first AND max(notes.last)))::bigint AS row_count
         FROM ${this.#notes} AS notes
         WHERE group_name = $1 AND partition = $2 AND first >= $3 AND first < $4
         GROUP BY first ORDER BY first LIMIT ${heldAtOnceMax}`,
        [this.#group, partition, next, end],
      )
      for (const { first, last, row_count, enqueued_last } of rows) {
        const offset = countOf(first)
        assert(offset >= next && offset < end, `ranges from ${next} to ${end} are asked for, and not ${offset}`)
        const messageCount = countOf(row_count)
        const lastOffset = last === null ? undefined : countOf(last)
        yield { offset, last: lastOffset, messageCount, enqueuedAtMsLast: enqueued_last.getTime() }
        next = offset + 1
      }
      if (rows.length < heldAtOnceMax) return
    }
  }

  async accepts(): Promise<boolean> {
    try {
      await this.#madeTables()
      const { rows } = await this.#query<{ may: boolean }>(
        `SELECT has_table_privilege($1::regclass, 'INSERT') AND has_table_privilege($2::regclass, 'INSERT') AS may`,
        [quoted(this.#settings.table), this.#notes],
      )
      return rows[0]?.may === true
    } catch (error) {
      if (error instanceof EndpointError && error.code === 'ENDPOINT_HELD') return false
      throw error
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#pool.end()
    return this.#closing
  }

  /** In the schema of the table. */
  get #notes(): string {
    const [schema] = this.#settings.table.split('.').slice(0, -1)
    return quoted(schema === undefined ? 'penstock_ranges' : `${schema}.penstock_ranges`)
  }

  #key({ topic, partition, first, part }: DeliveryRange): (string | number)[] {
    return [this.#group, topic, partition, first, part === undefined ? '' : `${part.first}+${part.length}`]
  }

  /** @returns false if the range is stored already */
  async #note(client: pg.ClientBase, range: DeliveryRange): Promise<boolean> {
    const { last, messageCount, enqueuedAtMsFirst, enqueuedAtMsLast } = range
    const { rowCount } = await client.query(
      `INSERT INTO ${this.#notes} (group_name, topic, partition, first, part, last, row_count, enqueued_first, enqueued_last)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
      [
        ...this.#key(range),
        last,
        messageCount,
        new Date(enqueuedAtMsFirst).toISOString(),
        new Date(enqueuedAtMsLast).toISOString(),
      ],
    )
    assert(rowCount === 0 || rowCount === 1, `a note is written, or was there; it is not ${rowCount} rows`)
    return rowCount === 1
  }

  /** Of this partition, many at once. The newest stays, for `newest`. */
  async #forgetOldNotes(client: pg.ClientBase, { topic, partition, first }: DeliveryRange): Promise<void> {
    if (this.#insertCount++ % insertsBetween !== 0) return
    await client.query(
      `DELETE FROM ${this.#notes} WHERE group_name = $1 AND topic = $2 AND partition = $3 AND first < $4
       AND stored_at < now() - interval '${noteDaysKept} days'`,
      [this.#group, topic, partition, first],
    )
  }

  async *#rows(selected: SelectedRange): AsyncGenerator<string> {
    const { partition } = selected.range
    for await (const messages of selected.messages())
      yield messages.map((message) => copyRow(message, partition, this.#settings.body)).join('')
  }

  #madeTables(): Promise<void> {
    this.#tablesMade ??= this.#makeTables().catch((error: unknown) => {
      this.#tablesMade = undefined
      throw error
    })
    return this.#tablesMade
  }

  async #makeTables(): Promise<void> {
    await this.#query(
      `CREATE TABLE IF NOT EXISTS ${quoted(this.#settings.table)} (
         device_id text NOT NULL, enqueued_at timestamptz NOT NULL, body ${this.#settings.body} NOT NULL,
         properties jsonb NOT NULL, system_properties jsonb NOT NULL,
         log_partition integer NOT NULL, log_offset bigint NOT NULL, log_index integer NOT NULL)`,
    )
    await this.#query(
      `CREATE TABLE IF NOT EXISTS ${this.#notes} (
         group_name text NOT NULL, topic text NOT NULL, partition integer NOT NULL, first bigint NOT NULL, part text NOT NULL,
         last bigint NOT NULL, row_count bigint NOT NULL, enqueued_first timestamptz NOT NULL, enqueued_last timestamptz NOT NULL,
         stored_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (group_name, partition, first, topic, part))`,
    )
  }

  #faultOf(error: unknown): PenstockError {
    const fault = error instanceof PenstockError ? error : postgresFault(error)
    // A table that somebody dropped is made again.
    if (fault.code === 'ENDPOINT_HELD') this.#tablesMade = undefined
    return fault
  }

  async #query<Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<pg.QueryResult<Row>> {
    try {
      return await this.#pool.query<Row>(sql, values)
    } catch (error) {
      throw this.#faultOf(error)
    }
  }

  async #transaction(work: (client: pg.ClientBase) => Promise<void>): Promise<void> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw this.#faultOf(error)
    })
    let broken: Error | undefined
    const onError = (error: Error): void => {
      broken = error
    }
    client.on('error', onError)
    try {
      await client.query('BEGIN')
      await work(client)
      await client.query('COMMIT')
    } catch (error) {
      await client.query('ROLLBACK').catch((fault: Error) => {
        broken = fault
      })
      throw this.#faultOf(error)
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }
}

interface HeldNote extends pg.QueryResultRow {
  readonly first: string
  readonly last: string | null
  readonly row_count: string
  readonly enqueued_last: Date
}

interface NoteGroup extends pg.QueryResultRow {
  readonly first: string
  readonly last: string | null
  readonly row_count: string
  readonly enqueued_first: Date
  readonly enqueued_last: Date
}

/** A bigint comes as text. */
function countOf(text: string): number {
  const count = Number(text)
  assert(isCount(count), `a note holds counts and offsets, and not ${text}`)
  return count
}

/** `schema.table`, each part as an identifier. Parts hold letters, digits and _ only. */
const quoted = (name: string): string =>
  name
    .split('.')
    .map((part) => `"${part}"`)
    .join('.')
