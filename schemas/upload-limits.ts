/** Of files that devices send. Part of `limits`. */
export const uploadLimits = {
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
} as const
