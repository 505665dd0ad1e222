import assert from 'node:assert'
import { amqpLimits } from './amqp-limits.ts'
import { analystLimits } from './analyst-limits.ts'
import { commandLimits } from './command-limits.ts'
import { consoleLimits } from './console-limits.ts'
import { growthLimits } from './growth-limits.ts'
import { jobLimits } from './job-limits.ts'
import { modelLimits } from './model-limits.ts'
import { readingLimits } from './reading-limits.ts'
import { routedLimits } from './routed-limits.ts'
import { senderLimits } from './sender-limits.ts'
import { twinLimits } from './twin-limits.ts'
import { uploadLimits } from './upload-limits.ts'

/** Every number that bounds something and that no setting changes, with its derivation. `assertLimits` checks their relations. */
export const limits = {
  ...amqpLimits,
  ...analystLimits,
  ...commandLimits,
  ...consoleLimits,
  ...growthLimits,
  ...readingLimits,
  ...routedLimits,
  ...senderLimits,
  ...uploadLimits,
  /** Largest device message body; the hub's own limit for device-to-cloud messages. */
  bodyBytesMax: 256 * 1024,
  /** Largest topic with its property bag: the longest string that MQTT can carry is 65,535 bytes; the hub allows far less. */
  topicBytesMax: 8 * 1024,
  /** Largest whole MQTT packet: body, topic, MQTT 5 properties, and room for the fixed header. */
  packetBytesMax: 256 * 1024 + 32 * 1024,
  /** Largest CONNECT, will message included. */
  connectPacketBytesMax: 256 * 1024 + 32 * 1024,
  /** Largest HTTP telemetry request: a batch may hold many messages, and base64 makes the largest body a third larger. */
  httpBodyBytesMax: 1024 * 1024,
  /** Properties of one HTTP message, as they are stored: as much as an MQTT packet has room for beside the largest body. */
  httpPropertyBytesMax: 32 * 1024,
  /** Messages in one HTTP request. Taking so many in delays the other devices of the process by a few tens of milliseconds. */
  httpMessagesMax: 20_000,
  /**
   * Envelopes of one HTTP request. Each of its messages may have all its properties, so envelopes may be far larger than the body. 20,000
   * messages of usual ids fit. A request that came in while there was room exceeds `edgePendingBytesMax` by little.
   */
  httpEnvelopeBytesMax: 4 * 1024 * 1024,
  /** Bodies of all HTTP requests of a process that have no answer yet: room for some tens of the largest. */
  httpBodiesBytesMax: 64 * 1024 * 1024,
  /**
   * Head of an HTTP request: the largest properties as headers, a token, and the headers that clients add. Header names are longer than
   * the names in an envelope.
   */
  httpHeadBytesMax: 64 * 1024,
  /** Headers of an HTTP request. The search for one that is given twice costs the square of their number. */
  httpHeadersMax: 500,
  /** Extensions and trailers of a chunked HTTP body, which are read and discarded. */
  httpChunkOverheadBytesMax: 16 * 1024,
  /** What a client may send behind a request that has no answer yet. The rest waits at the client. */
  httpAheadBytesMax: 64 * 1024,
  /** Of a request body that is handed on as it comes in: what waits for its reader; more waits at the client. */
  httpBodyAheadBytesMax: 64 * 1024,
  /** An HTTP connection is closed after this long without a request, or with an answer of which the client takes nothing. */
  httpSilenceMsMax: 10_000,
  /** A request must come in within `httpSilenceMsMax` plus the time that its bytes take at this rate. */
  httpRequestBytesPerSecondMin: 16 * 1024,
  /** Links of a server that carry many requests at once: each edge process has one. */
  linksMax: 256,
  /** Requests under way on one link; an edge passes on more in another way. */
  linkRequestsMax: 4_096,
  /** One request of a link: the largest head, and a body of a method, a twin or a command of its usual length. */
  linkRequestBytesMax: 128 * 1024,
  /** One answer: what a device may answer to a method, a twin with its metadata, and room. */
  linkAnswerBytesMax: 1024 * 1024,
  /** Requests that wait to be written to a link; an edge passes on more in another way. */
  linkWaitingBytesMax: 1024 * 1024,
  /** A link on which nobody asks ends after so long; who asks ends it in half of that. */
  linkSilenceMsMax: 60_000,
  /** While answers are waited for, and nothing was heard for so long, the other side is asked for a sign of life, and given up after as long again. */
  linkHeartbeatMs: 5_000,
  /** Largest WebSocket message: clients put many packets into one. */
  webSocketMessageBytesMax: 1024 * 1024,
  /** What may wait of one WebSocket while the log is slow. It is still read, so that its pings are answered and its end is seen. */
  webSocketWaitingBytesMax: 2 * 1024 * 1024,
  /** The same for all WebSockets of a process: as much as the edge itself may hold. */
  webSocketsWaitingBytesMax: 64 * 1024 * 1024,
  /** Longest device id in bytes, as the hub's registry allows (128 characters of ASCII). */
  deviceIdBytesMax: 128,
  /** A connection must have sent its CONNECT within this time. */
  connectDelayMsMax: 10_000,
  /** Longest wait of a connection for its device's quota: half a usual keep-alive. A device that owes more is told so, and its connection ends. */
  shapingMsMax: 30_000,
  /** Longest wait of an HTTP request for a quota before it is answered 429. */
  requestShapingMsMax: 2_000,
  /** Longest wait of a CONNECT for its turn before it is refused. Clients give up after 10 to 30 s. */
  connectShapingMsMax: 5_000,
  /** Device events that wait for the log, with their buffers. Events beyond this are dropped and counted. */
  eventsPendingBytesMax: 4 * 1024 * 1024,
  /** Devices whose quotas one edge process remembers, about 300 bytes each. Those that are connected or in debt are kept first. */
  quotaDevicesMax: 200_000,
  /** Addresses, and devices at an address, whose failed attempts are remembered, about 200 bytes each. */
  failureEntriesMax: 20_000,
  /** Devices in the sketch of the noisiest: any device with more than a 256th of the traffic is in it. */
  noisyDevicesKept: 256,
  /**
   * Look-ups of devices in the registry that one network gets from an edge process while its credentials fail too often. It is as many as
   * one statement asks for. At this rate a fleet behind one address has connected again within seconds.
   */
  failingLookupsPerSecond: 1_000,
  /** Wrong passwords that a network may send ClickHouse's embedded engine in a minute before attempts from there take turns. */
  passwordFailuresPerMinute: 10,
  /** Such a network gets one attempt in this time: 18,000 an hour. A password of six random letters is one of 300 million. */
  passwordTurnMs: 200,
  /** Longest wait of an attempt for its turn. Attempts that would wait longer are told to come back, since clients give up. */
  passwordWaitMsMax: 5_000,
  /** Longest keep-alive interval granted; the hub's own cap. */
  keepAliveSecondsMax: 1_177,
  /** MQTT 5 Receive Maximum that the edge announces: the most unacknowledged messages that it holds for a connection. */
  receiveMaximum: 65_535,
  /** MQTT 5 topic aliases a connection may set; each holds at most `topicBytesMax`. */
  topicAliasMax: 16,
  /** Refused connections whose reason is logged in one minute. Of the others only the number is logged. */
  refusalsToldPerMinute: 10,
  /** Of these, how many the console can show: the last ones of all edges. */
  refusalsKeptMax: 20,
  /** Requests of a device that are refused with an answer in one second. Some SDKs repeat a refused one at once, without end. */
  requestRefusalsPerSecondMax: 10,
  /** Requests of a device that wait for their answer. An SDK has a few. */
  deviceRequestsUnderWayMax: 64,
  /** Direct methods that one device has not answered; further calls are told to come back. */
  methodsUnderWayPerDeviceMax: 16,
  /** The same for all devices of an edge process, about 1 KB each. */
  methodsUnderWayMax: 10_000,
  /** A device that connected at another edge may take so long to answer what it was called at this one, before its connection here ends. */
  methodsLeavingMsMax: 250,
  /** Calls of a process that wait for a device to connect, or to listen. */
  methodsWaitingMax: 1_000,
  /** Devices of which a control process remembers at which edge they were, about 200 bytes each; all edges are asked about the others. */
  edgeHintsMax: 200_000,
  /** All edges are asked again about devices that are waited for. */
  edgesAskedAgainMs: 1_000,
  /** A device that connects waits so long for what is kept of its session; then it is let in, and listens again a moment later. */
  sessionLookupMsMax: 1_000,
  /** Kept sessions read or written in one statement. */
  sessionsAtOnceMax: 1_000,
  /** Pause after a statement about them that failed. */
  sessionRetryMs: 1_000,
  /** Changes of them that wait for the store, about 200 bytes each; the oldest are dropped. */
  sessionsUnwrittenMax: 100_000,
  /** Payload of a direct method, and of its answer; the hub's own limit. */
  methodPayloadBytesMax: 128 * 1024,
  /** Name of a direct method. */
  methodNameBytesMax: 100,
  /** Objects and lists within one another in a payload. */
  methodPayloadDepthMax: 32,
  /** How long a device may take to connect, and to answer; the hub's own limits. */
  methodConnectSecondsMax: 300,
  methodResponseSecondsMin: 5,
  methodResponseSecondsMax: 300,
  /** Answers in one second from a device that nobody called, or that came too late. Beyond them it guesses, and its connection ends. */
  strayAnswersPerSecondMax: 10,
  /** Unacknowledged messages to one device: as many as fill a usual way to it, and few enough to be sent again after a lost connection. */
  deliveriesUnderWayMax: 16,
  /** Further messages that wait for their turn, by number and bytes: some of the largest. Whoever sends more keeps the rest. */
  deliveriesWaitingMax: 64,
  deliveriesWaitingBytesMax: 1024 * 1024,
  /** Uncompressed envelopes in one Avro block. One block is compressed on one thread in about a millisecond. */
  blockBytesMax: 512 * 1024,
  /** Largest envelope: a body, its topic text decoded into properties, and the stamps. */
  envelopeBytesMax: 256 * 1024 + 2 * 32 * 1024 + 1024,
  /** Largest log record. A block that does not compress grows only by the frame overhead of zstandard. */
  recordBytesMax: 1024 * 1024,
  /** Uncompressed envelopes and messages in one log record, which may hold several blocks: a record stays cheap to decode whole. */
  recordRawBytesMax: 4 * 1024 * 1024,
  recordMessagesMax: 65_536,
  /** Encoded, unsettled bytes one edge process may hold over all partitions before it pauses its sockets. */
  edgePendingBytesMax: 64 * 1024 * 1024,
  /** An edge process for which the log confirms nothing for this long reports not ready. It is longer than a change of a Kafka leader takes. */
  edgeLogSilentSecondsMax: 10,
  /** Bytes waiting in a socket's write queue before the client is called too slow. */
  socketWriteBytesMax: 1024 * 1024,
  /** Rows in one insert. Stays below ClickHouse's max_insert_block_size (1,048,449), so an insert is one block. */
  insertRowsMax: 524_288,
  /** Compressed bytes in one insert. */
  insertBytesMax: 32 * 1024 * 1024,
  /** Uncompressed bytes in one insert. ClickHouse also joins and splits blocks by bytes (min_insert_block_size_bytes is 256 MiB). */
  insertBodyBytesMax: 192 * 1024 * 1024,
  /** Records a worker reads ahead for one partition. */
  readBytesMax: 32 * 1024 * 1024,
  /** Bytes a worker reads ahead over all its partitions; each gets its share, at least `recordBytesMax`. */
  workerReadBytesMax: 256 * 1024 * 1024,
  /** Inserts that one worker process runs at once; each may cost ClickHouse a few times `insertBodyBytesMax` of memory. */
  workerInsertsAtOnceMax: 4,
  /** ClickHouse refuses an insert that begins later than this after its worker was last known to own the partition. */
  insertBeginMsMax: 60_000,
  /** An insert that ClickHouse has begun ends within this time (`max_execution_time`). */
  insertRunMsMax: 120_000,
  /** ClickHouse's clock is measured again after this long, so that a clock that was set back is noticed. It costs one small query. */
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
  /** An object is stored within this time of its beginning: the largest one at some 5 Mbit/s. */
  objectPutMsMax: 300_000,
  /** A request that was given up may still be carried out by its server for so long; the longest that servers of objects take is a minute. */
  objectLandMsMax: 60_000,
  /** One request to a server of objects: a part, at some 2 Mbit/s. */
  objectRequestMsMax: 60_000,
  /** Parts in which larger objects are sent; two of them are held. S3 takes none below 5 MiB, and 10,000 of them. */
  objectPartBytes: 8 * 1024 * 1024,
  /** A partition in which nothing is settled for this long after a failure stands still. A restart of ClickHouse is over by then. */
  standstillMsMin: 60_000,
  /** A message that is not yet a row is said to wait once it is this old: a burst, or a restart of ClickHouse, is over by then. */
  undeliveredSecondsSaid: 60,
  /** Rows of the audit, some 200 bytes each; the oldest go first. */
  auditRowsMax: 200_000,
  /** Longer paths are cut in the audit: the longest ids of a device and a module fit twice. */
  auditPathLengthMax: 1_024,
  /** The audit is written down this long after the answer, so that many changes are one statement. */
  auditDelayMs: 200,
  /** Entries of the audit that wait for the store. Half of them is for refusals, which anyone can cause. */
  auditWaitingMax: 10_000,
  /** What is too old in the audit is removed this often. */
  auditForgottenMs: 600_000,
  /** The views over a table are checked this often, by a few small queries. */
  viewsLookedAtMs: 10_000,
  /** A view that failed counts as failing for this long. It is longer than Prometheus needs to see it, and a person to look at the alert. */
  viewFailureFreshMs: 600_000,
  /** Inserts a second into one table at which deduplication must still hold; ClickHouse advises far fewer. */
  insertsPerSecondMax: 100,
  /** Tokens that ClickHouse remembers for a table: as many as the inserts that others may do before a late one ends, and some more. */
  deduplicationWindow: 20_000,
  /** The same as an age, for ReplicatedMergeTree: its own default, 20 times as long as an insert can be late. */
  deduplicationWindowSeconds: 3_600,
  /**
   * Messages of one batch that become dead letters one by one. What is left of the batch after them becomes one letter. Finding each takes
   * about 2 log2(messages) small inserts, and one query after each refusal. So a batch full of bad messages holds its partition for
   * seconds, not minutes.
   */
  deadLettersPerBatchMax: 16,
  /** Statements that the embedded engine runs at once for each of these: the pipeline's inserts, its queries, and the user `default`. */
  engineOwnPlacesMax: 4,
  /** The same for analysts, for each core. A short query should find a place beside their long ones. All share the cores. */
  engineAnalystPlacesPerCore: 16,
  engineAnalystPlacesMax: 128,
  /** Threads beside those that run statements: for compression, for stopping queries, and for asking about their columns. */
  engineSpareThreads: 4,
  /** Free disk below which the embedded engine takes no more writes: room for several of the largest inserts and their merges. */
  diskLowBytes: 256 * 1024 * 1024,
  /** Free disk below which the embedded engine is killed if it still writes. */
  diskExhaustedBytes: 64 * 1024 * 1024,
  /** Modules of one device; the hub's own limit. */
  modulesPerDeviceMax: 50,
  /** Operations in one bulk request; the hub's own limit. */
  bulkOperationsMax: 100,
  /** Enrolment groups: a device that says no more than its id is compared with the keys of each. The hub's own limit. */
  enrolmentGroupsMax: 100,
  /** Registrations, and look-ups for them, in one statement or transaction. */
  registrationsAtOnceMax: 200,
  /** Registrations that an edge process has under way; more are told when to come back. */
  registrationsUnderWayMax: 500,
  /** Body of a registration, which a device may fill with what it wants to tell whoever chooses its hub. */
  registrationBytesMax: 64 * 1024,
  /** How often a device may ask what became of its registration; the hub's own limit. */
  registrationPollsMax: 5,
  registrationPollsWindowMs: 10_000,
  /** Devices of which that is counted in a window; more than register in it. */
  registrationPollersMax: 100_000,
  /** A device comes to register, and goes: its connection ends by then. */
  registrationMsMax: 30 * 60_000,
  /** Longest time after which a device is told to come back: more than a storm of 100,000 devices needs. */
  registrationReturnSecondsMax: 300,
  /** Registrations under way in a process whose hub somebody else chooses, or is far away. */
  allocationsUnderWayMax: 64,
  /** After which such a registration is given up: three requests to each of three hubs, and more. */
  allocationMsMax: 90_000,
  /** They are waited for so long when a process ends. */
  allocationStopMsMax: 5_000,
  /** How often devices are looked for that interrupted registrations left in hubs, and how many of a hub at once. */
  intentsLookedAtMs: 30_000,
  intentsSettledAtOnceMax: 100,
  /** Hubs that devices are sent to, besides this one. */
  linkedHubsMax: 50,
  /** A request to a linked hub, or to a function that chooses one, from its beginning to the end of the answer; and what is read of that. */
  outgoingRequestMsMax: 5_000,
  outgoingAnswerBytesMax: 64 * 1024,
  /** Enrolments in one bulk request; the hub's own limit. */
  bulkEnrolmentsMax: 10,
  /** What a caller wants to remember of a device, as JSON. */
  enrolmentInformationBytesMax: 4 * 1024,
  /** Devices in one page of a list or query; the hub's own limit. */
  registryPageMax: 1_000,
  /** Body of a registry request: 100 identities of the largest texts, with room. */
  registryBodyBytesMax: 512 * 1024,
  /** A query of twins may take so long, and so many of a process run at once: each may read all of them. */
  queryMsMax: 10_000,
  queriesAtOnceMax: 2,
  /** Text of one query. */
  queryBytesMax: 8 * 1024,
  ...jobLimits,
  ...modelLimits,
  ...twinLimits,
  /** A SAS token or key as an MQTT password or Authorization header: a policy token of the longest ids, percent-encoded, has about 1,500. */
  credentialBytesMax: 4 * 1024,
  /** Largest accepted token that is cached, to save the check of its signature. Most have about 200 bytes; with the device's credentials 2 KB. */
  tokenKeptBytesMax: 1024,
  /** Tokens of services whose signature was found good, about 1 KB each: each process of a service has one at a time. */
  signedTokensMax: 1_000,
  /** Certificates followed from a device's leaf to a registered authority. */
  certificateChainMax: 5,
  /** An edge process reports this often that it is alive, and which devices it heard of. */
  edgeBeatMs: 60_000,
  /** Devices that were heard of, reported in one statement. */
  beatRecordsMax: 1_000,
  /** Devices that an edge process notes between two beats, about 100 bytes each; as many as it holds connections by default. */
  heardDevicesMax: 100_000,
  /** An edge process that was not heard of for this long is taken for dead. Several beats may be lost on the way. */
  edgeSilenceMsMax: 300_000,
  /** New connections are gathered for this long before other edges are told. So an edge sends at most ten NOTIFY statements a second. */
  announceDelayMs: 100,
  /** Connections in one such statement: some 60 KB of notices. After a lost link or store, 100,000 connections are announced in some 5 s. */
  announcedAtOnceMax: 2_000,
  /** Pause after a statement that the store did not accept. */
  announceRetryMs: 1_000,
  /** Devices with quotas of their own in the registry. Every edge process keeps them all, about 200 bytes each, and reads them again after a change. */
  deviceQuotasMax: 10_000,
  /** Certificate authorities kept; the hub's own limit. */
  authoritiesMax: 25,
  /** Text of a routing condition: a screen full. */
  conditionBytesMax: 4 * 1024,
  /** Names, values and operators of a condition: what one costs a message has a bound. */
  conditionNodesMax: 256,
  /** Brackets and signs within one another: readers of conditions call themselves for each. */
  conditionDepthMax: 64,
  /** Paths into bodies that the conditions of a set of routes have together: each is looked for in every body. */
  conditionBodyPathsMax: 32,
  /** Routes of a document, as the hub has it: each is evaluated for every message. */
  routesMax: 100,
  /** Endpoints of a document, however many the setting allows: each reads the log for itself. */
  endpointsMax: 100,
  /** Enrichments of a document, as the hub has it. */
  enrichmentsMax: 10,
  /** Replays of the log into endpoints that go on at once: each reads the log for itself. */
  replaysMax: 10,
  /** Text of an enrichment: it is added to every message that reaches its endpoints. */
  enrichmentValueBytesMax: 4 * 1024,
  /** The document of routes as JSON: the largest conditions of all routes, and endpoints with their columns. */
  routingDocumentBytesMax: 1024 * 1024,
} as const

/** Asserts the relations between limits that the code relies on. */
export function assertLimits(): void {
  assertGrowthLimits()
  assert(limits.packetBytesMax >= limits.bodyBytesMax + limits.topicBytesMax, 'a body with its topic must fit a packet')
  assert(
    limits.envelopeBytesMax >= limits.bodyBytesMax + limits.topicBytesMax * 2,
    'a largest packet must fit an envelope',
  )
  assert(limits.blockBytesMax >= limits.envelopeBytesMax, 'a largest envelope must fit a block')
  assert(limits.sparkplugNamesBytesMax >= 4 * limits.sparkplugConnectionNamesBytesMax, 'none takes most names')
  assert(limits.amqpJoinedBytesMax >= limits.amqpMessageBytesMax, 'a largest message must fit where frames are joined')
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
  assert(limits.recordMessagesMax <= limits.requestRangeMessagesMax, 'one record must fit a range of requests')
  assert(limits.workerReadBytesMax >= limits.readBytesMax, 'one partition must be able to read ahead fully')
  assert(
    limits.diskLowBytes - limits.diskExhaustedBytes >= workerInsertsBytesMax(),
    'inserts that began with room must end with room',
  )
  assert(limits.selectionCacheBytesMax >= 2 * limits.recordRawBytesMax, 'endpoints in step must find a largest record')
  assert(
    limits.twinGroupBytesMax >= limits.twinPatchBytesMax + 2 * limits.twinPropertiesBytesMax,
    'a largest patch with a largest twin must fit a group',
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
  assert(limits.commandPropertyBytesMax < limits.commandBytesMax, 'a command with the most properties must have a body')
  assert(3 * limits.commandPropertyBytesMax + 1024 <= 65_535, 'the properties of a command must fit a topic of MQTT')
  assert(
    limits.commandsHeldBytesMax >= 64 * (limits.commandsTakenBytesMax + limits.commandBytesMax),
    'many devices must be able to get their largest commands at once',
  )
  assert(
    limits.uploadBlocksMax * (limits.uploadBlockIdLengthMax + 32) < limits.uploadBlockListBytesMax,
    'a list of the most blocks must be readable',
  )
  assert(limits.jobDevicesKeptMax >= 1_000_000, 'a job over the largest registry must be able to be kept')
  assert(limits.modelPinsMax <= limits.modelFieldsMax, 'all fields that may be pinned must fit a model')
  assert(limits.jobsKeptMax >= limits.jobsActiveMax, 'what just ended must be able to be read')
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

function assertGrowthLimits(): void {
  assert(
    limits.growthLookMs < limits.growthLeaseMs &&
      limits.growthLookMs + limits.growthVetoMs < limits.growthHoldMs &&
      limits.growthLeaseMs < limits.growthHoldMs &&
      limits.growthHoldMs < limits.growthHoldMsMax,
    'every edge knows of a hold, and may give it up, before the cut',
  )
}
