/**
 * The one SQL dialect of the control store: PostgreSQL 14 and later, spoken to a server (`postgres-database.ts`) or to
 * PostgreSQL embedded in this process (`pglite-database.ts`). Open one through `open-database.ts`.
 */
export type SqlValue = string | number | boolean | null | Date | readonly (string | number | boolean | null)[]

export type SqlRow = Readonly<Record<string, unknown>>

export interface Queries {
  /** Runs one statement with `$1`… parameters. @throws PenstockError STORE_UNAVAILABLE (retry); other faults as they come */
  query<Row extends SqlRow>(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>
}

export interface Database extends Queries {
  /** Commits if `work` resolves, rolls back and rejects with its fault otherwise. Read committed. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /**
   * Payloads notified on these channels by any process, after their transaction committed and in the order of commits. `onGap` is
   * called each time that notifications may have been missed (the connection was lost and is back): forget what was derived
   * from them. Resolves once listening; the result stops it.
   */
  listen(
    channels: readonly string[],
    onPayload: (payload: string, channel: string) => void,
    onGap: () => void,
  ): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** Longest text of a NOTIFY, bytes: PostgreSQL's own limit is 8,000 with the terminating zero. */
export const notifyBytesMax = 7_900

/**
 * JSON items, joined by commas into as few texts as NOTIFY takes; in their order.
 * @param items ASCII, each far shorter than `notifyBytesMax`
 * @param aroundBytes what the payload has besides them
 */
export function itemsPacked(items: readonly string[], aroundBytes: number): string[] {
  const texts: string[] = []
  let text = ''
  for (const item of items) {
    if (text.length + item.length + 1 + aroundBytes > notifyBytesMax) {
      texts.push(text)
      text = ''
    }
    text += text === '' ? item : `,${item}`
  }
  if (text !== '') texts.push(text)
  return texts
}
