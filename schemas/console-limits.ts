/** Of what the console asks for. Part of `limits`. */
export const consoleLimits = {
  /** Statements of the console's users that run at once in a control process. */
  consoleStatementsMax: 4,
  consoleStatementBytesMax: 256 * 1024,
  consoleStatementSecondsMax: 30,
  consoleStatementMemoryBytesMax: 1_000_000_000,
  /** Of an answer: what is beyond either is cut off. */
  consoleRowsMax: 10_000,
  consoleResultBytesMax: 32 * 1024 * 1024,
} as const
