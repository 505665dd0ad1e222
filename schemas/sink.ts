/** The sink port: where workers deliver ranges of batches. Adapters lie in `pipeline/sinks/`. */

/**
 * What one insert stores: the batches from offset `first` to `last` of one partition, a contiguous range of one UTC day.
 * It becomes one block, so it is stored wholly or not at all.
 */
export interface SinkRange {
  readonly topic: string
  readonly partition: number
  readonly first: number
  readonly last: number
  readonly rowCount: number
  /** Smallest and largest stamp of the range, UTC milliseconds, both within one UTC day. */
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
}

/** Rows under one position: those of one insert, or of all parts of one batch. */
export interface RowGroup {
  readonly offset: number
  readonly rowCount: number
  /** Earliest and latest of them, UTC milliseconds. */
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
}

export interface Sink {
  /** Label of this sink in metrics, from a small closed set. */
  readonly name: string
  /**
   * Longest time that an insert, once begun, may still take effect. The sink enforces it.
   * After `expiresMonotonicMs` and this time, an insert of unknown outcome can no longer change anything.
   */
  readonly insertMsMax: number
  /**
   * Stores the range. Repeating it with the same token and the same chunks stores it at most once, as long as the sink
   * remembers the token.
   * @param chunks together one Avro object container file; not copied, unchanged until the call settles
   * @param expiresMonotonicMs `Clock.monotonicMs` of this process: the sink must not begin this insert later, whatever delayed
   *   the request. This is the fence against a paused worker whose request arrives after another worker took the partition over.
   * @throws WAREHOUSE_UNAVAILABLE (outcome unknown), WAREHOUSE_REFUSED (the insert has ended; `stored` says whether its rows are
   *   there; if they are not, they never will be)
   */
  insert(range: SinkRange, token: string, chunks: readonly Uint8Array[], expiresMonotonicMs: number): Promise<void>
  /** Number of stored rows of the range, counted by position and time, both from the intent. @throws WAREHOUSE_UNAVAILABLE */
  stored(range: SinkRange): Promise<number>
  /**
   * The rows under the largest position of a partition below `end`. Only rows taken in at `sinceMs` (UTC) or later count; `undefined`
   * if there are none. May read the positions of all rows. @throws WAREHOUSE_UNAVAILABLE
   */
  newest(partition: number, end: number, sinceMs: number): Promise<RowGroup | undefined>
  /**
   * True if the sink accepts an insert without rows. Then a refusal of a batch is the fault of the batch, not of a dropped table or a
   * missing grant. @throws WAREHOUSE_UNAVAILABLE
   */
  accepts(): Promise<boolean>
}
