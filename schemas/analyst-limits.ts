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
  /** Who keeps a table says so again in time; if it is gone, another process does. */
  tableHeldMs: 60_000,
  /** Attempts that fail before it is said aloud: at a start the tables may not be there yet. */
  tableQuietFailures: 6,
  /** A minute has ended for so long when it is computed: usual rows are stored by then. What is later is computed again. */
  rollUpEndedSeconds: 15,
  /** So long before rows may be removed, what is computed of them is no longer computed again: a statement has ended by then. */
  rollUpExpirySeconds: 3_600,
  /** Rows of which minutes are computed in one statement. */
  rollUpRowsAtOnceMax: 5_000_000,
  /** Rows between late minutes that are read once more, rather than in a statement for each of these. */
  rollUpGapRowsMax: 100_000,
  /** A statement that computes a table: it may read a day of rows. */
  summaryRequestMsMax: 600_000,
  /** Tables that are computed from rows are looked after this often, at most. */
  summaryPauseMs: 15_000,
  /** And so many times as long as it took: 5 % of the time for the newest rows, half of it for minutes and hours, which need all rows. */
  latestPauseFactor: 19,
  rollUpPauseFactor: 1,
  /** Running statements are looked at this often, and those that ended are stored every so many times. */
  queryLogTickMs: 500,
  queryLogStoreTicks: 10,
  /** Statements that wait to be stored: more than end in that time. */
  queryLogWaitingMax: 2_000,
  /** Of a statement, and of an error, as much as people read; some 32 MB where all that wait are longer. */
  queryLogTextMax: 8_192,
} as const
