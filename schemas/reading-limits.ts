/** What bounds the reading of events over AMQP; a part of `limits.ts`. */
export const readingLimits = {
  /** Decoded records that the readers of an edge process share: eight of the largest. */
  readingShelfBytesMax: 32 * 1024 * 1024,
  /** Read from the log at once: one record at least. */
  readingBytesMax: 1024 * 1024,
  /** Readers at the end of a partition hear of a new record within this time. */
  readingPollMs: 100,
  /** A reader asks a log that is away again after this time. */
  readingRetryMs: 1_000,
  /** Written for one reader before the sockets of the edge have their turn, which takes about a millisecond. */
  readingSliceBytesMax: 128 * 1024,
  readingSliceMessagesMax: 512,
  /** Readers of one partition in one group that do not ask to be alone; the hub's own limit. */
  readersPerPartitionMax: 5,
  /** Readers of an edge process, some KB each. */
  readersMax: 1_024,
  /** Partitions that readers at other edge processes have for themselves; one that is not told again by then has left. */
  readerClaimsMax: 10_000,
  readerClaimMs: 15_000,
  readerClaimAgainMs: 5_000,
  /** Name of a consumer group; the hub's own limit. */
  consumerGroupLengthMax: 50,
  /** Last positions told beside messages are looked up again after this time. */
  readingRuntimeAgeMs: 1_000,
} as const
