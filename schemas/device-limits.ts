/** Of commands, files and twins of devices. Part of `limits`. */
export const deviceLimits = {
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
  /** Uploads of one device that are under way; the hub's own limit. */
  deviceUploadsMax: 10,
  /** Name of a file; the hub's own limit, in characters. */
  blobNameLengthMax: 1_024,
  /** Body with which an upload begins or ends: the longest name, with room. */
  uploadRequestBytesMax: 16 * 1024,
  /** Blocks of one file: with the 4 MiB that clients send, the largest file that may be set, 40,000 MiB. */
  uploadBlocksMax: 10_000,
  /** Id of a block as text: 64 bytes in base64, which is what clients may use. */
  uploadBlockIdLengthMax: 88,
  /** The list that makes a file of its blocks: each with the longest id, and its element around it. */
  uploadBlockListBytesMax: 2 * 1024 * 1024,
  /** Bytes of one upload that an edge process takes for each byte that the file may have: blocks that are sent again come on top. */
  uploadRepeatsMax: 2,
  /** Uploads of which an edge process knows what they sent, and whether they ended; about 150 bytes each. */
  uploadsRememberedMax: 100_000,
  /** Requests of an edge process that write files at once, and of one device: on S3 each holds up to two parts. The rest waits its turn. */
  uploadWritesMax: 32,
  deviceUploadWritesMax: 8,
  /** A request that writes a block or file ends within this time: 4 MiB at some 0.1 Mbit/s. */
  uploadWriteMsMax: 300_000,
  /** Parts in which files go to S3: the least that it takes, since as many are held as files are written. 10,000 of them are a file. */
  uploadPartBytes: 5 * 1024 * 1024,
  /** What is left of uploads is looked for so often, and how much there is, in each edge process. */
  uploadSweepMs: 60_000,
  /** Tags of a twin as compact JSON; the hub's own limit. */
  twinTagsBytesMax: 8 * 1024,
  /** Desired properties of a twin, and reported ones, each as compact JSON; the hub's own limit. */
  twinPropertiesBytesMax: 32 * 1024,
  /** A patch of reported properties as it was sent: the largest section, with white space and keys to delete. */
  twinPatchBytesMax: 48 * 1024,
  /** Objects within one another below tags, desired or reported; the hub's own limit. */
  twinDepthMax: 10,
  /** Keys, and items of lists, of one patch or section. */
  twinEntriesMax: 1_024,
  /** Name of a key, and a text as value; the hub's own limits. */
  twinKeyBytesMax: 1024,
  twinTextBytesMax: 4 * 1024,
  /** Largest number either side of 0; the hub's own limit. */
  twinNumberMax: 2 ** 52,
  /** Removed desired keys that a twin remembers beyond its last change, so that devices that were away learn of them; and for how long. */
  twinTombstonesMax: 64,
  twinTombstoneMsMax: 7 * 24 * 3_600_000,
  /** Twins that one statement reads or writes, and bytes of their documents: some 10 ms of a connection. */
  twinGroupMax: 500,
  twinGroupBytesMax: 1024 * 1024,
  /** Groups of reported patches begin this far apart where more come than that. A patch that comes alone waits for nothing. */
  twinGroupMs: 10,
  /** Reported patches of a process that wait for the store, and for how long. */
  twinQueueBytesMax: 16 * 1024 * 1024,
  twinWaitMsMax: 10_000,
  /** Reported properties that a process keeps to merge patches into: some 20,000 twins of a usual size. */
  twinCacheBytesMax: 64 * 1024 * 1024,
  /** Changes of twins that are told in one portion, about, and bytes of what they say. */
  twinEventsAtOnceMax: 1_000,
  twinEventsAtOnceBytesMax: 1024 * 1024,
  /** Looks for changes to tell begin this far apart while there are none: the first part of how late they are. */
  twinEventsLookMs: 200,
  /** The process that tells changes has this right alone for so long, unless it asks again; another one goes on then. */
  twinEventsHeldMs: 10_000,
  /** Changes that wait for the log in the control store, some 500 bytes each. Beyond, the oldest are given up and counted. */
  twinEventsWaitingMax: 1_000_000,
  /** How many wait is counted so often. */
  twinEventsMeasuredMs: 10_000,
  /** Twin requests of a device: so many a second, and so many at once. */
  twinRequestsPerSecond: 10,
  twinRequestsBurst: 50,
} as const
