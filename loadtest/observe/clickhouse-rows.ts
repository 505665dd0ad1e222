/**
 * Stored rows of a run, asked from ClickHouse over plain HTTP: the checker shares no code with what it checks.
 */

import type { DeviceSummary, RowSource } from '#loadtest/ledger/reconcile.ts'
import { type QueryParameters, queryRows } from './query-rows.ts'
import {
  disorderStatement,
  exceptRanges,
  newestStatement,
  ofDevice,
  ofRun,
  partitionsStatement,
  rangesStatement,
  repeatsStatement,
  type Seen,
  summariesStatement,
  visibleStatement,
} from './row-statements.ts'

/** Rows that became visible since the last look, by the moment their message was to be sent. */
export interface VisibleRows {
  readonly deviceId: string
  readonly sentAtMs: number
  readonly count: number
  readonly last: Seen
}

export interface ClickhouseRows extends RowSource {
  /** All rows of the table, from its metadata: costs nothing. */
  tableRows(): Promise<number>
  /** Log partitions with rows that the edge took in at `atMs` (UTC) or later. */
  partitionsSince(atMs: number): Promise<number>
  /** When the edge took in the newest message of each log partition that has rows of `atMs` (UTC) or later. */
  newestSince(atMs: number): Promise<ReadonlyMap<number, number>>
  /** Rows of some devices beyond the last one seen of each; for the latency from socket to row. Reads only what is newer. */
  visibleAfter(seen: ReadonlyMap<string, Seen>): Promise<readonly VisibleRows[]>
}

/** @param url http(s) address, user and password may be in it @param table database.table */
export function clickhouseRows(url: string, table: string): ClickhouseRows {
  const query: Query = (statement, parameters = {}) => queryRows(url, statement, parameters)
  const numberOf = async (...question: Parameters<Query>) => Number((await query(...question))[0]?.[0] ?? 0)
  return {
    tableRows: () => numberOf(`SELECT count() FROM ${table}`),

    rowCount: (run) => numberOf(`SELECT count() FROM ${table} WHERE ${ofRun}`, { run }),

    partitionsSince: (atMs) => numberOf(partitionsStatement(table), { at: Math.floor(atMs) }),

    async newestSince(atMs) {
      const rows = await query(newestStatement(table), { at: Math.floor(atMs) })
      return new Map(rows.map(([partition, newest]) => [Number(partition), Number(newest)]))
    },

    summaries: async (run) => new Map((await query(summariesStatement(table), { run })).map(summaryOf)),

    async storedRanges(device) {
      const rows = await query(rangesStatement(table), { device })
      return rows.map(([from, to]) => ({ from: Number(from), to: Number(to) }))
    },

    async repeats(device) {
      const rows = await query(repeatsStatement(table), { device })
      return rows.map(([number, count]) => ({ sequence: Number(number), rows: Number(count) }))
    },

    async disorders(run) {
      const rows = await query(disorderStatement(table, ofRun), { run })
      return new Map(rows.map(([id, count]) => [String(id), Number(count)]))
    },

    async disordersOf(device, except) {
      const rows = await query(disorderStatement(table, `${ofDevice}${exceptRanges(except)}`), { device })
      return Number(rows[0]?.[1] ?? 0)
    },

    visibleAfter: async (seen) => (await query(visibleStatement(table, seen))).map(visibleRowsOf),
  }
}

type Query = (statement: string, parameters?: QueryParameters) => Promise<unknown[][]>

function summaryOf([id, count, distinct, first, last, partitions]: readonly unknown[]): [string, DeviceSummary] {
  const summary = {
    rows: Number(count),
    distinct: Number(distinct),
    first: Number(first),
    last: Number(last),
    partitions: Number(partitions),
  }
  return [String(id), summary]
}

function visibleRowsOf([id, at, count, last, enqueuedAtMs]: readonly unknown[]): VisibleRows {
  return {
    deviceId: String(id),
    sentAtMs: Number(at),
    count: Number(count),
    last: { sequence: Number(last), enqueuedAtMs: Number(enqueuedAtMs) },
  }
}
