/** Of twins. Part of `limits`. */
export const twinLimits = {
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
  /** Twins that services write in one statement: each may hold 72 KiB. */
  twinWritesAtOnceMax: 100,
  /** How often a twin is read for a device that was told of a later one meanwhile; then it is to ask again. */
  twinReadsMax: 10,
  /** A write of a service waits so long for a twin that another transaction holds. */
  twinHeldMsMax: 30_000,
  /** How often a JSON Patch is made anew since its twin changed meanwhile; then its caller is told, as if the etag had been its own. */
  digitalTwinAttemptsMax: 5,
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
