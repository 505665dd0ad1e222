/**
 * The warehouse port: ClickHouse over HTTP, whichever way it runs. Open one through `open-warehouse.ts`; the embedded
 * engine (`embedded/`) speaks the same protocol in a process of its own, so there is one client and one code path.
 */
export interface Warehouse {
  /**
   * Sends `chunks` as the body of one `INSERT … FORMAT x` statement. It does not retry.
   * Resolves when ClickHouse confirmed the insert.
   * @param settings ClickHouse settings for this statement, e.g. `insert_deduplication_token`
   * @throws WAREHOUSE_UNAVAILABLE (outcome unknown: ask, or retry with the same bytes and token), WAREHOUSE_REFUSED (the insert has
   *   ended; ask whether anything was stored, since ClickHouse stores a part before it answers with the error of a view)
   */
  insert(statement: string, chunks: readonly Uint8Array[], settings: Readonly<Record<string, string>>): Promise<void>
  /** Rows of a SELECT as objects (FORMAT JSONEachRow; 64-bit integers come as text), small results only. */
  query(statement: string, parameters?: Readonly<Record<string, string | number>>): Promise<readonly WarehouseRow[]>
  /** A statement without a result: DDL and the like. */
  command(statement: string): Promise<void>
  /** Resolves if the warehouse answers. @throws WAREHOUSE_UNAVAILABLE */
  ping(): Promise<void>
  close(): Promise<void>
}

export type WarehouseRow = Readonly<Record<string, unknown>>

export interface WarehouseOptions {
  /** http(s) address, e.g. `http://127.0.0.1:8123`. */
  readonly url: string
  readonly user: string
  readonly password: string
  /** A request that has no answer after this time counts as WAREHOUSE_UNAVAILABLE. */
  readonly requestMsMax: number
  /** First word of the User-Agent; left out: the pipeline's, for which the embedded engine has places of its own. */
  readonly application?: string
}

/** First word of the User-Agent of requests on which delivery depends. */
export const pipelineApplication = 'penstock'
