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
  /** Viewers of the log's end at one edge process. Each holds `tailViewerBytesMax`. */
  tailViewersMax: 16,
  /** Texts that wait for a viewer who takes nothing. What comes beyond is skipped, and counted. */
  tailViewerBytesMax: 256 * 1024,
  /** Of a body, so much is shown. */
  tailBodyBytesMax: 16 * 1024,
  /** Messages that one viewer is shown. More than people read; fewer than a browser can draw. */
  tailMessagesPerSecondMax: 100,
  /** How often the log is asked for what is new while somebody looks. */
  tailPollMs: 100,
  /** Of one partition at a time. Older ones that are new are skipped: two records fill a screen. */
  tailRecordsMax: 16,
  tailReadBytesMax: 1024 * 1024,
  /** Time of the edge's one thread that decoding for viewers may take each time: devices wait for it. */
  tailDecodeMsMax: 4,
  /** So much is decoded whatever time it took: on a busy machine one message may take those 4 ms. */
  tailDecodeBytesMin: 8 * 1024,
  /** Results of load tests that are listed, and beyond how many none is started: somebody deletes some first. */
  loadTestsListedMax: 50,
  loadTestsKeptMax: 500,
  /** Of a result; a larger file is left out. A run of ten minutes with eight processes has about 1 MB. */
  loadTestResultBytesMax: 16 * 1024 * 1024,
} as const
