/**
 * The log port: an ordered, durable, partitioned record of batches, and groups of readers that remember their position.
 *
 *   edge ── append ──▶ partition 0: │ 0 │ 1 │ 2 │ …        offsets begin at 0 and grow by one a record
 *                      partition 1: │ 0 │ 1 │ …
 *   worker ◀─ read ── position (group, partition) = next offset to deliver + metadata, written under a generation
 *
 * Adapters lie beside this file: `memory-log.ts` (tests), `lmdb-log.ts` (embedded), `kafka-log.ts`. Open one through
 * `open-log.ts`. `log.conformance.ts` states what all of them hold.
 */

/** What the edge stamps on a batch; travels as record headers. */
export interface BatchStamp {
  readonly schemaVersion: number
  /** Edge process that wrote the batch, stable over its restarts. */
  readonly edgeId: string
  /** Start of that edge process, UTC milliseconds: a new life of the same edge has a larger one. */
  readonly epoch: number
  /** Number of the batch within (edge, epoch, partition); begins at 0. */
  readonly sequence: number
  /** Messages in the batch, at least 1. */
  readonly messageCount: number
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
}

export interface LogRecord {
  readonly offset: number
  readonly stamp: BatchStamp
  /** The batch, a complete Avro object container file. Owned by the reader from now on. */
  readonly value: Uint8Array
}

/** Where a group stands in one partition. */
export interface GroupPosition {
  /** Next offset to deliver. */
  readonly offset: number
  /** Text stored with the offset, empty if none; at most 4,000 characters. */
  readonly metadata: string
}

/** First offset still kept, and the offset that the next append will get. */
export interface PartitionRange {
  readonly first: number
  readonly next: number
}

/**
 * One partition given to this member, and to nobody else until it is revoked. All calls reject with LOG_GENERATION_STALE once the
 * partition is revoked or the member fell out of the group; the task that holds the assignment then ends.
 */
export interface Assignment {
  readonly partition: number
  /** Under which it was given. Where the group moves on and the partition stays, commits are made under the later one. */
  readonly generation: number
  /** The group's position when the partition was assigned; `undefined` if the group never committed here. */
  readonly position: GroupPosition | undefined
  /** Aborted when the partition is revoked or the log closed. */
  readonly revoked: AbortSignal
  /**
   * Records from `offset` on, in order, without gaps except those that retention made: at least one (or none after
   * `waitMs` without news), at most about `bytesMax` (always one record). Calls must ask for the offset after the last record
   * read, or an earlier one to read again.
   * @param logId `Log.id` of the log that `offset` is of: another one is not read; `undefined`: whichever there is
   * @throws LOG_REPLACED, LOG_POSITION_LOST if `offset` was removed by retention; the message says what is left. LOG_UNAVAILABLE (retry: the
   *   assignment goes on)
   */
  read(offset: number, bytesMax: number, waitMs: number, logId?: string): Promise<LogRecord[]>
  /** Stores the group's position durably. Accepted only from who holds the partition. @throws LOG_UNAVAILABLE (retry) */
  commit(position: GroupPosition): Promise<void>
}

export interface GroupMember {
  /** Leaves the group; open assignments are revoked first. */
  close(): Promise<void>
}

export interface Log {
  /** Topic this log holds, e.g. `penstock.telemetry`. */
  readonly topic: string
  /** As many as this object knows of: others may have added some since. Which of them devices are spread over is `DeviceSpread`'s to say. */
  readonly partitionCount: number
  /** Names the log that is there now: one that is made anew under the same topic begins at offset 0 again and has another id. @throws LOG_UNAVAILABLE */
  id(): Promise<string>
  /**
   * Appends a batch and resolves with its offset once it is durable (Kafka `acks=all`; LMDB synced). Appends to one
   * partition from one process keep their call order. On Kafka it waits out an outage instead of failing, because only the same
   * request again is known to the broker as the same batch. A record is readable only once it is durable. `value` must not
   * change until then.
   * @throws LOG_APPEND_FAILED (retry: the record may be appended again), LOG_RECORD_TOO_LARGE, LOG_CLOSED, LOG_DISK_FULL
   */
  append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number>
  /**
   * Joins a group. Each partition is assigned to one member at a time; `onAssigned` is called for each one given to this
   * member and must not throw. A new join or leave moves partitions and raises the generation.
   */
  join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember>
  /** Positions of a group by partition, `undefined` where it never committed. For tools and lag. */
  positions(group: string): Promise<readonly (GroupPosition | undefined)[]>
  /** What is kept, by partition. */
  ranges(): Promise<readonly PartitionRange[]>
  /** Reads outside any group, for tools: like `Assignment.read` without waiting. */
  read(partition: number, offset: number, bytesMax: number): Promise<LogRecord[]>
  /**
   * Removes records older than `ageMsMax` or beyond `bytesMax` of a partition, oldest first, but never one that a group which
   * has joined, or is named in the policy, has not delivered yet unless `force`, or the group is one that expires. Kafka does this itself by topic settings; there it
   * only reports.
   * @returns records removed, and of these how many some group had not delivered.
   */
  retain(policy: RetentionPolicy): Promise<RetentionResult>
  /**
   * Adds partitions behind those that there are, which stay as they are, until there are so many; done again it changes nothing. Groups
   * divide them once a member's log knows of them. @throws LOG_UNAVAILABLE
   */
  grow(partitionCount: number): Promise<void>
  /** Looks how many partitions there are now. @throws LOG_UNAVAILABLE */
  refreshPartitions(): Promise<void>
  close(): Promise<void>
}

export interface RetentionPolicy {
  readonly nowMs: number
  readonly ageMsMax: number
  readonly partitionBytesMax: number
  /** Groups that need every record even before they join for the first time. */
  readonly neededBy: readonly string[]
  /**
   * Groups whose names begin so have nothing kept for them, though they have joined, unless `neededBy` names them: endpoints that may fall
   * behind retention, and those that were removed, so that none fills the log. What such a group then lacks, its reader finds as
   * LOG_POSITION_LOST. Left out: there are none.
   */
  readonly expiringPrefixes?: readonly string[] | undefined
  /** Remove undelivered records too once a partition exceeds `partitionBytesMax`. */
  readonly force: boolean
}

export interface RetentionResult {
  readonly removedRecords: number
  readonly lostRecords: number
  /** Bytes that are left, over all partitions. */
  readonly keptBytes: number
  /** Bytes above `partitionBytesMax` that are left, over all partitions, since they are not delivered. */
  readonly overLimitBytes: number
}

/** How a topic is opened or created. */
export interface LogOptions {
  readonly topic: string
  /**
   * Wanted at creation. An existing topic may have grown from it: where its count is no multiple, that is LOG_PARTITIONS_MISMATCH.
   * Undefined: that of the existing topic, whatever it is, and `partitionCountDefault` at creation.
   */
  readonly partitionCount: number | undefined
}
