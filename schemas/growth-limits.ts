/** What bounds the growth of a log's partitions; a part of `limits.ts`. docs/decisions/0025-growth.md */
export const growthLimits = {
  /** Whoever spreads devices over partitions, or delivers them, looks so often whether that changes. */
  growthLookMs: 400,
  /** What an edge saw last counts for so long. Then it looks again before it acknowledges. */
  growthLeaseMs: 1_200,
  /** Devices wait for so long before the cut is taken: longer than any edge believes what was true before. */
  growthHoldMs: 2_000,
  /** An edge whose messages the log has not confirmed by then gives the growth up, before the cut. */
  growthVetoMs: 800,
  /** Nobody waits longer for a growth that is not finished: its command has died, say. */
  growthHoldMsMax: 10_000,
  /** Read from the journal at once. */
  growthReadBytesMax: 1024 * 1024,
} as const
