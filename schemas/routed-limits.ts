/** What bounds the selection of messages for routes, and ranges of endpoints; a part of `limits.ts`. */
export const routedLimits = {
  /** Combinations of a message's properties that a reader of routes remembers, of at most so many bytes: 4 MiB, and what it knows of them. */
  routedSuffixesMax: 4_096,
  routedSuffixBytesMax: 1_024,
  /** Once so many more were met that found no room, all are forgotten: devices have come to send others. */
  routedSuffixesTurnedAwayMax: 65_536,
  /** What routes want of the twins of senders, in the memory of a router: some 200 bytes each, so some 300,000. */
  routedTwinsBytesMax: 64 * 1024 * 1024,
  /** Twins that a router reads at once, whole: 14 MB where all are of the largest size. */
  routedTwinsAtOnceMax: 200,
  /** What a router knows of a twin is read again after so long, though no change was told; and where changes are not told at all. */
  routedTwinAgeMsMax: 300_000,
  routedTwinAgeUntoldMsMax: 2_000,
  /** A router looks so often for changes of twins that are told. */
  twinChangesLookMs: 100,
  /** Selections of records that the endpoints of a process share, with their decompressed messages. */
  selectionCacheBytesMax: 64 * 1024 * 1024,
  /** Blocks that are decompressed at once for routes: as many as libuv's pool has threads. */
  routedBlocksAtOnceMax: 4,
  /** Edges of which a partition's last counted batch is known, some 200 bytes each: several times as many as append to one at the same time. */
  countedEdgesMax: 1_024,
  /** An endpoint is behind where its records are so much older than the newest one that any endpoint of its router came to: longer than inserts and retries take. */
  routedBehindMs: 10_000,
  /** `penstock routes explain` reads no longer and no more of the log than this: some millions of messages, beside all that runs. */
  explainMsMax: 10_000,
  explainBytesMax: 256 * 1024 * 1024,
  /** Messages that it shows of each outcome of a condition, and what of their bodies, properties and parts: as much as people read. */
  explainedSamplesMax: 10,
  explainedTextMax: 1024,
  /**
   * What an endpoint that can't be asked gets as one range, unless it says otherwise: a largest record, and some 20 of the usual ones. It is held decompressed for as
   * long as the endpoint is away, for each partition, and sent again from its start after a crash.
   */
  requestRangeMessagesMax: 65_536,
  requestRangeBytesMax: 8 * 1024 * 1024,
  requestRangeBodyBytesMax: 16 * 1024 * 1024,
} as const
