/** Limits of jobs and configurations. Rows of the table in `limits.ts`. */
export const jobLimits = {
  /** Jobs that run at the same time, in all control processes together; the hub's own limit of its largest tier. */
  jobsAtOnceMax: 10,
  /** Jobs that wait for their time or their place, or run. */
  jobsActiveMax: 100,
  /** Jobs that ended are kept for so long, the hub's own time, and so many with so many devices; the oldest are forgotten first. */
  jobKeptMs: 30 * 24 * 3_600_000,
  jobsKeptMax: 1_000,
  jobDevicesKeptMax: 2_000_000,
  /** Devices of a job that is forgotten, in one statement. */
  jobDevicesSweptAtOnceMax: 1_000,
  /** How long a job may go on, and how far ahead its start may lie. */
  jobExecutionSecondsMax: 7 * 24 * 3_600,
  jobStartAheadMsMax: 365 * 24 * 3_600_000,
  /** Who runs a job says again after a third of this that it still does; if it is gone, another goes on with the job. */
  jobLeaseMs: 15_000,
  /** Jobs that are due are looked for so often, and how many there are is counted so often. */
  jobLookMs: 1_000,
  jobsCountedMs: 10_000,
  /**
   * Twins in one transaction of a job, or as many as are done in a tenth of a second, if that is less: as many as one statement writes. The embedded
   * store does nothing else meanwhile, some 40 ms. A tenth of them a transaction costs it three times as much.
   */
  jobTwinsAtOnceMax: 100,
  /** Devices that a process calls at the same time for one job. */
  jobMethodsAtOnceMax: 100,
  /** The answer of a device that is kept. Of a longer one only its status is. */
  jobAnswerBytesMax: 4 * 1024,
  /** Calls under way are waited for so long when a process ends; what they give later is not known. */
  jobStopMsMax: 5_000,
  /** Identities of a page of an export, which is a block of its blob: at most 20 MiB, and of 50,000 blocks that Azure takes 25,000,000 identities. */
  transferPageMax: 500,
  transferBlocksMax: 50_000,
  /** What is read of the blob of an import at a time, and so its longest line. An identity with its twin has some 50 KiB, six times as much in escapes. */
  transferReadBytes: 1024 * 1024,
  /** Lines of one transaction of an import, or what the pace lets, if that is less; the hub's own number of operations in one request. */
  transferLinesAtOnceMax: 100,
  /** Refusals that are gathered in the store before they are a block: a blob has room for 3 GiB of them, some 20,000,000. */
  transferPendingBytesMax: 64 * 1024,
  /** An address with its signature. */
  transferUriBytesMax: 4 * 1024,
  /** How often a container is tried that does not answer: some ten minutes. */
  transferTriesMax: 24,
  /** What is told of transfers that ended, or wait. */
  transfersListedMax: 1_000,
  /** Configurations, their custom metrics, and their labels; the hub's own numbers but for the last. */
  configurationsMax: 100,
  configurationMetricsMax: 5,
  configurationLabelsMax: 50,
  /** Conditions of configurations are looked at so often at least, and whether they are to be, so often. The hub takes minutes. */
  configurationPassMs: 60_000,
  configurationLookMs: 1_000,
} as const
