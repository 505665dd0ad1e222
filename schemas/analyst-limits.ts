/** Limits of the tables that are kept for analysts. Rows of the table in `limits.ts`. */
export const analystLimits = {
  /** Identities that are compared at once, of the control store and of the warehouse: some 2 MB of the largest tags. */
  deviceTablePageMax: 1_000,
  /** Versions in one insert. A pass over a fleet of which all were heard makes so few parts. */
  deviceVersionsAtOnceMax: 5_000,
  deviceVersionsBytesMax: 16 * 1024 * 1024,
  /** Between two passes over all identities, at least; and so many times as long as a pass takes, which is then 5 % of the time. */
  deviceTablePauseMs: 10_000,
  deviceTablePauseFactor: 19,
  /** Devices of which a change was told are compared after so long, and so many are remembered; what is beyond waits for the next pass. */
  deviceTableToldMs: 1_000,
  deviceTableToldMax: 10_000,
  /** Who keeps the table says so again in time; if it is gone, another process does. */
  deviceTableHeldMs: 60_000,
  /** Attempts that fail before it is said aloud: at a start the tables may not be there yet. */
  deviceTableQuietFailures: 6,
} as const
