import assert from 'node:assert'

/** Every number that bounds something and that no operator turns, with its derivation. Checked by `assertLimits`. */
export const limits = {
  /** Largest device message body; the hub's own limit for device-to-cloud messages. */
  bodyBytesMax: 256 * 1024,
  /** Largest topic with its property bag: the longest string that MQTT can carry is 65,535 bytes; the hub allows far less. */
  topicBytesMax: 8 * 1024,
  /** Largest whole MQTT packet: body, topic, MQTT 5 properties, and room for the fixed header. */
  packetBytesMax: 256 * 1024 + 32 * 1024,
  /** Largest CONNECT, will message included. */
  connectPacketBytesMax: 256 * 1024 + 32 * 1024,
  /** Largest HTTP telemetry request: a batch may hold many messages, base64 makes a largest body a third larger. */
  httpBodyBytesMax: 1024 * 1024,
  /** Properties of one HTTP message, as they are stored; what an MQTT packet has room for beside the largest body. */
  httpPropertyBytesMax: 32 * 1024,
  /** Messages in one HTTP request: taking them in holds up the other devices of the process for a few tens of milliseconds. */
  httpMessagesMax: 20_000,
  /**
   * Envelopes of one HTTP request, whose messages may each have the properties of all: 20,000 messages of usual ids fit, and a request
   * that came in while there was room exceeds `edgePendingBytesMax` by little.
   */
  httpEnvelopeBytesMax: 4 * 1024 * 1024,
  /** Bodies of all HTTP requests of a process that have no answer yet; some tens of the largest at once. */
  httpBodiesBytesMax: 64 * 1024 * 1024,
  /**
   * Head of an HTTP request: the largest properties as headers, whose names are longer on the wire than in an envelope, beside a token and
   * what clients add.
   */
  httpHeadBytesMax: 64 * 1024,
  /** Headers of an HTTP request; looking for one that was given twice costs its square. */
  httpHeadersMax: 500,
  /** Of a chunked HTTP body: extensions and trailers, which are read and left out. */
  httpChunkOverheadBytesMax: 16 * 1024,
  /** What a client sends behind a request that has no answer yet; more waits at the client. */
  httpAheadBytesMax: 64 * 1024,
  /** An HTTP connection is closed after so long without a request, or with an answer of which nothing is taken. */
  httpSilenceMsMax: 10_000,
  /** A request comes in within that time and one second more for each of these bytes. */
  httpRequestBytesPerSecondMin: 16 * 1024,
  /** Largest WebSocket message: clients put many packets into one. */
  webSocketMessageBytesMax: 1024 * 1024,
  /** What may wait of one WebSocket while the log is slow: it is read on, so that its pings are answered and its end is seen. */
  webSocketWaitingBytesMax: 2 * 1024 * 1024,
  /** The same of all WebSockets of a process; as much as the edge itself may hold. */
  webSocketsWaitingBytesMax: 64 * 1024 * 1024,
  /** Longest device id in bytes, as the hub's registry allows (128 characters of ASCII). */
  deviceIdBytesMax: 128,
  /** A connection must have sent its CONNECT by then. */
  connectDelayMsMax: 10_000,
  /** Longest that a connection waits for its device's quota; a device that owes more is told so and ends. Half a usual keep-alive. */
  shapingMsMax: 30_000,
  /** Longest that an HTTP request waits for a quota before it is answered 429. */
  requestShapingMsMax: 2_000,
  /** Longest that a CONNECT waits for its turn before it is refused; clients give up after 10 to 30 s. */
  connectShapingMsMax: 5_000,
  /** Device events that wait for the log, with their buffers; more are dropped and counted. */
  eventsPendingBytesMax: 4 * 1024 * 1024,
  /** Devices whose quotas one edge process remembers, about 300 bytes each; what is connected or in debt is kept first. */
  quotaDevicesMax: 200_000,
  /** Addresses, and devices at an address, whose failed attempts are remembered, about 200 bytes each. */
  failureEntriesMax: 20_000,
  /** Devices in the sketch of the noisiest: any device with more than a 256th of the traffic is in it. */
  noisyDevicesKept: 256,
  /**
   * Look-ups of devices in the registry that one network gets from an edge process while its credentials fail too often: as many as one
   * statement asks for, and a fleet behind one address has connected anew within seconds.
   */
  failingLookupsPerSecond: 1_000,
  /** Wrong passwords that a network may send ClickHouse's embedded engine in a minute before attempts from there take turns. */
  passwordFailuresPerMinute: 10,
  /** One attempt of such a network is looked at in so long: 18,000 an hour, of which a password of six random letters has 300 million. */
  passwordTurnMs: 200,
  /** So long one waits for its turn; more that come meanwhile are told to come back, since clients give up. */
  passwordWaitMsMax: 5_000,
  /** Longest keep-alive interval granted; the hub's own cap. */
  keepAliveSecondsMax: 1_177,
  /** MQTT 5 Receive Maximum that the edge announces, and the most unacknowledged messages it holds a connection. */
  receiveMaximum: 65_535,
  /** MQTT 5 topic aliases a connection may set; each holds at most `topicBytesMax`. */
  topicAliasMax: 16,
  /** Refused connections whose reason is logged in one minute; of more their number is. */
  refusalsToldPerMinute: 10,
  /** Twin requests of a connection that are answered in one second: some SDKs repeat a refused one at once, without end. */
  twinRefusalsPerSecondMax: 10,
  /** Uncompressed envelopes in one Avro block. One block is compressed on one thread in about a millisecond. */
  blockBytesMax: 512 * 1024,
  /** Largest envelope: a body, its topic text decoded into properties, and the stamps. */
  envelopeBytesMax: 256 * 1024 + 2 * 32 * 1024 + 1024,
  /** Largest log record. Blocks that do not compress grow by the frame overhead of zstandard only. */
  recordBytesMax: 1024 * 1024,
  /** Uncompressed envelopes and messages in one log record, which may hold several blocks: a record stays cheap to decode whole. */
  recordRawBytesMax: 4 * 1024 * 1024,
  recordMessagesMax: 65_536,
  /** Encoded, unsettled bytes one edge process may hold over all partitions before it pauses its sockets. */
  edgePendingBytesMax: 64 * 1024 * 1024,
  /** So long an edge process may wait for the log to confirm anything before it says that it is not ready: longer than a Kafka leader's change. */
  edgeLogSilentSecondsMax: 10,
  /** Bytes waiting in a socket's write queue before the client is called too slow. */
  socketWriteBytesMax: 1024 * 1024,
  /** Rows in one insert. Stays below ClickHouse's max_insert_block_size (1,048,449), so an insert is one block. */
  insertRowsMax: 524_288,
  /** Compressed bytes in one insert. */
  insertBytesMax: 32 * 1024 * 1024,
  /** Uncompressed bytes in one insert: ClickHouse also squashes and splits blocks by bytes (min_insert_block_size_bytes is 256 MiB). */
  insertBodyBytesMax: 192 * 1024 * 1024,
  /** Records a worker reads ahead for one partition. */
  readBytesMax: 32 * 1024 * 1024,
  /** Bytes a worker reads ahead over all its partitions; each gets its share, at least `recordBytesMax`. */
  workerReadBytesMax: 256 * 1024 * 1024,
  /** Inserts that one worker process runs at once; each may cost ClickHouse a few times `insertBodyBytesMax` of memory. */
  workerInsertsAtOnceMax: 4,
  /** An insert is refused by ClickHouse if it begins later than this after its worker was last known to own the partition. */
  insertBeginMsMax: 60_000,
  /** An insert that ClickHouse has begun ends by then (`max_execution_time`). */
  insertRunMsMax: 120_000,
  /** ClickHouse's clock is measured again after this long, so that one that was set back is noticed; costs one small query. */
  warehouseClockMeasuredMsMax: 60_000,
  /** An endpoint whose attempts fail for so long is unhealthy; one that restarts is back by then. */
  endpointUnhealthyMsMin: 10_000,
  /** And dead after this long, the hub's own limit. */
  endpointDeadMsMin: 3_600_000,
  /** Pauses between attempts at an endpoint that fails, the first and the longest; of one that is unhealthy, and of one that is dead. */
  endpointRetryMsFirst: 100,
  endpointRetryMsMax: 1_000,
  endpointUnhealthyRetryMsMax: 10_000,
  endpointDeadRetryMs: 60_000,
  /** Longest pause that an endpoint may ask for. */
  endpointRetryAfterMsMax: 3_600_000,
  /** A partition in which nothing is settled for so long after a failure stands still; a restart of ClickHouse is over by then. */
  standstillMsMin: 60_000,
  /** The views over a table are looked at this often: a few small queries. */
  viewsLookedAtMs: 10_000,
  /** A view that failed counts as failing for so long: longer than Prometheus needs to see it, and an alert to be looked at. */
  viewFailureFreshMs: 600_000,
  /** Inserts a second into one table at which deduplication must still hold; ClickHouse advises far fewer. */
  insertsPerSecondMax: 100,
  /** Tokens ClickHouse remembers a table: every insert that others may do before a late one ends, with a little room. */
  deduplicationWindow: 20_000,
  /** The same as an age, for ReplicatedMergeTree: its own default, 20 times the latest moment of a late insert. */
  deduplicationWindowSeconds: 3_600,
  /** Messages of one batch that become dead letters one by one; then what is left of it goes as one letter. Finding each takes
   * about 2 log2(messages) small inserts, and a question after each that is refused, so that a batch full of bad messages holds its partition for seconds, not minutes. */
  deadLettersPerBatchMax: 16,
  /** Statements that the embedded engine runs at once of each: the pipeline's inserts, its questions, and `default`. */
  engineOwnPlacesMax: 4,
  /** And of analysts, for each core: a short question among their long ones should find a place free. They share the cores. */
  engineAnalystPlacesPerCore: 16,
  engineAnalystPlacesMax: 128,
  /** Threads beside those that run statements: for compression, for stopping queries and asking about their columns. */
  engineSpareThreads: 4,
  /** Free disk below which the embedded engine takes no more writes: several of the largest inserts and their merges. */
  diskLowBytes: 256 * 1024 * 1024,
  /** Free disk below which the embedded engine may no longer be writing. */
  diskExhaustedBytes: 64 * 1024 * 1024,
  /** Modules of one device; the hub's own limit. */
  modulesPerDeviceMax: 50,
  /** Operations in one bulk request; the hub's own limit. */
  bulkOperationsMax: 100,
  /** Devices in one page of a list or query; the hub's own limit. */
  registryPageMax: 1_000,
  /** Body of a registry request: 100 identities of the largest texts, with room. */
  registryBodyBytesMax: 512 * 1024,
  /** Text of one query. */
  queryBytesMax: 8 * 1024,
  /** A SAS token or key as an MQTT password or Authorization header: a policy token of the longest ids, percent-encoded, has about 1,500. */
  credentialBytesMax: 4 * 1024,
  /** Of an admitted token that is kept, so that it costs no signature again: most have about 200; with the device's credentials 2 KB. */
  tokenKeptBytesMax: 1024,
  /** Certificates followed from a device's leaf to a registered authority. */
  certificateChainMax: 5,
  /** An edge process says so often that it lives, with the devices that it heard of. */
  edgeBeatMs: 60_000,
  /** Devices that were heard of, in one statement. */
  beatRecordsMax: 1_000,
  /** Devices that an edge process notes between two beats, about 100 bytes each; as many as it holds connections by default. */
  heardDevicesMax: 100_000,
  /** An edge process that was not heard of for so long never comes back: several beats may be lost on the way. */
  edgeSilenceMsMax: 300_000,
  /** What connects is gathered for so long before other edges are told: at most ten NOTIFYing statements a second and edge. */
  announceDelayMs: 100,
  /** Connections in one of them: some 60 KB of notices, so that 100,000 are told some 5 s after a lost link or store. */
  announcedAtOnceMax: 2_000,
  /** Pause after one that the store did not take. */
  announceRetryMs: 1_000,
  /** Devices with quotas of their own in the registry: every edge process keeps all, about 200 bytes each, and reads them again after a change. */
  deviceQuotasMax: 10_000,
  /** Certificate authorities kept; the hub's own limit. */
  authoritiesMax: 25,
} as const

/** Asserts the relations between limits that the code relies on. */
export function assertLimits(): void {
  assert(
    limits.packetBytesMax >= limits.bodyBytesMax + limits.topicBytesMax,
    'a largest body with a largest topic must fit a packet',
  )
  assert(
    limits.envelopeBytesMax >= limits.bodyBytesMax + limits.topicBytesMax * 2,
    'a largest packet must fit an envelope',
  )
  assert(limits.blockBytesMax >= limits.envelopeBytesMax, 'a largest envelope must fit a block')
  assert(limits.recordBytesMax >= limits.blockBytesMax + 4096, 'an incompressible block must fit a record')
  assert(limits.recordRawBytesMax >= limits.blockBytesMax, 'a largest block must fit a record')
  assert(limits.recordMessagesMax <= limits.insertRowsMax, 'one record must fit an insert')
  assert(limits.edgePendingBytesMax >= 16 * limits.recordBytesMax, 'a paused edge must still be able to fill blocks')
  assert(
    limits.httpEnvelopeBytesMax >= 3 * limits.httpBodyBytesMax &&
      16 * limits.httpEnvelopeBytesMax <= limits.edgePendingBytesMax,
    'a largest HTTP body must fit, with properties, and no request may fill the edge',
  )
  assert(limits.insertRowsMax < 1_048_449, 'an insert must stay one ClickHouse block')
  assert(limits.insertBytesMax >= limits.recordBytesMax, 'one record must fit an insert')
  assert(limits.readBytesMax >= limits.insertBytesMax, 'a read must be able to fill an insert')
  assert(limits.workerReadBytesMax >= limits.readBytesMax, 'one partition must be able to read ahead fully')
  assert(
    limits.diskLowBytes - limits.diskExhaustedBytes >= workerInsertsBytesMax(),
    'inserts that began with room must end with room',
  )
  assert(limits.edgeSilenceMsMax >= 3 * limits.edgeBeatMs, 'a lost beat must not end an edge')
  const lateMsMax = limits.insertBeginMsMax + limits.insertRunMsMax
  assert(
    limits.deduplicationWindow >= (limits.insertsPerSecondMax * lateMsMax) / 1000,
    'the token of a late insert must still be remembered',
  )
  assert(
    limits.endpointUnhealthyRetryMsMax <= limits.endpointDeadRetryMs &&
      limits.endpointUnhealthyMsMin < limits.endpointDeadMsMin,
    'an endpoint that is worse off is tried more seldom',
  )
  assert(limits.deduplicationWindowSeconds * 1000 >= 2 * lateMsMax, 'a token must outlive a late insert')
}

function workerInsertsBytesMax(): number {
  return limits.workerInsertsAtOnceMax * limits.insertBytesMax
}

/** Places of analysts on a machine with so many cores. */
export function engineAnalystPlaces(cores: number): number {
  return Math.min(limits.engineAnalystPlacesMax, limits.engineAnalystPlacesPerCore * cores)
}

/** Threads of libuv's pool with which the embedded engine runs as many statements as it has places. */
export function engineThreads(cores: number): number {
  return 3 * limits.engineOwnPlacesMax + engineAnalystPlaces(cores) + limits.engineSpareThreads
}
