/**
 * Embedded logs as a backup takes them and puts them back. Kafka's own records are no business of these: its brokers copy them, and have
 * tools of their own.
 *
 *   hold ──▶ snapshot of each log ──▶ (tables) ──▶ release ──▶ records are read from the snapshots
 *   └── no position moves, whatever workers send meanwhile ──┘
 *
 * Appends go on: nothing here keeps a device waiting.
 */
import type { GroupMember, GroupPosition, Log, LogRecord, PartitionRange } from './log.ts'

/** What a log holds beside its records. */
export interface LogContents {
  readonly topic: string
  readonly id: string
  /** By partition. */
  readonly ranges: readonly PartitionRange[]
  /** All groups that ever joined, with their positions by partition. */
  readonly groups: readonly { readonly group: string; readonly positions: readonly (GroupPosition | undefined)[] }[]
}

export interface PlacedRecord extends LogRecord {
  readonly partition: number
}

/** A log as it was at one moment. */
export interface LogSnapshot extends LogContents {
  /** All that `ranges` name, by partition and offset. */
  records(): Generator<PlacedRecord>
  close(): void
}

export interface LogHold extends GroupMember {
  /** @throws LOG_UNAVAILABLE if anyone else has had a partition since: this process was paused for longer than its session, say */
  assertHeld(): void
}

export interface CopyableLog extends Log {
  /**
   * Takes every partition of each group that ever joined, from whoever delivers them. Resolves once no position can move; closing gives them
   * back, and so does the end of this process.
   * @throws LOG_UNAVAILABLE
   */
  hold(): Promise<LogHold>
  snapshot(): LogSnapshot
}
