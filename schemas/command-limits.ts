/** Of commands to devices. Part of `limits`. */
export const commandLimits = {
  /** Commands that wait for one device; the hub's own limit. */
  commandsWaitingMax: 50,
  /** A command with its properties; the hub's own limit. */
  commandBytesMax: 64 * 1024,
  /** Its properties: percent-encoded they fit a topic of MQTT, and as headers what clients for Node take. */
  commandPropertyBytesMax: 8 * 1024,
  /** Longest life of a command; the hub's own limit. */
  commandLifeMsMax: 2 * 24 * 3_600_000,
  /** A command that was taken is nobody else's for so long; the hub's own time. */
  commandLockMs: 60_000,
  /** Commands that a device has and has not settled: an edge holds them, and they come again after a lost connection. */
  commandsInFlightMax: 10,
  /** Of one queue, one command more than this is taken at a time. */
  commandsTakenBytesMax: 64 * 1024,
  /** Queues, settlements and commands in one statement: where the cost of the statement itself no longer counts. */
  commandQueuesAtOnceMax: 200,
  commandsSettledAtOnceMax: 200,
  commandsSentAtOnceMax: 200,
  /** Bodies of the commands in one such statement. */
  commandsSentAtOnceBytesMax: 1024 * 1024,
  /** Commands that wait in a control process for their statement. More are told to come back. */
  commandsUnsentMax: 10_000,
  /** Settlements are gathered for so long, so that a flood of them costs few statements. */
  commandSettleDelayMs: 10,
  /** Commands that one edge process holds, taken and not settled; no more are taken until some are. */
  commandsHeldBytesMax: 64 * 1024 * 1024,
  /** An edge process asks so often whether any of the devices that listen has commands that nobody told of. */
  commandsLookMs: 30_000,
  /** Ends that are due are looked for so often, and so many at a time; how much there is, less often. */
  commandSweepMs: 1_000,
  commandsSweptAtOnceMax: 1_000,
  commandsMeasuredMs: 10_000,
  /** Feedback records in one batch, the time that a receiver has for it, and how often it may give one back; the hub's own numbers. */
  feedbackBatchMax: 64,
  feedbackLockMs: 60_000,
  feedbackDeliveriesMax: 10,
  /** Feedback records and dead letters of commands that are kept. Beyond, the oldest are forgotten and counted. */
  feedbackKeptMax: 1_000_000,
  deadCommandsKeptMax: 100_000,
} as const
