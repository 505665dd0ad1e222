/**
 * The one SQL dialect of the control store: PostgreSQL 14 and later, spoken to a server (`postgres-database.ts`) or to
 * PostgreSQL embedded in this process (`pglite-database.ts`). Open one through `open-database.ts`.
 */
export type SqlValue = string | number | boolean | null | Date | readonly string[]

export type SqlRow = Readonly<Record<string, unknown>>

export interface Queries {
  /** Runs one statement with `$1`… parameters. @throws PenstockError STORE_UNAVAILABLE (retry); other faults as they come */
  query<Row extends SqlRow>(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>
}

export interface Database extends Queries {
  /** Commits if `work` resolves, rolls back and rejects with its fault otherwise. Read committed. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /**
   * Payloads notified on `channel` by any process, after their transaction committed. `onGap` is called each time that
   * notifications may have been missed (the connection was lost and is back): forget what was derived from them.
   * Resolves once listening; the result stops it.
   */
  listen(channel: string, onPayload: (payload: string) => void, onGap: () => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** Longest text of a NOTIFY, bytes: PostgreSQL's own limit is 8,000 with the terminating zero. */
export const notifyBytesMax = 7_900
