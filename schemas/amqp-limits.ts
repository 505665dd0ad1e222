/** What bounds AMQP; a part of `limits.ts`. */
export const amqpLimits = {
  /** Largest frame of AMQP; larger messages come in several. As much as the buffer that sockets are read into. */
  amqpFrameBytesMax: 64 * 1024,
  /** The same before it is known who sends: a token has some hundred bytes. */
  amqpFirstFramesBytesMax: 8 * 1024,
  amqpSaslFrameBytesMax: 1024,
  /** Values within one another, and in all, of a frame or a section of a message: an ATTACH has some tens. */
  amqpDepthMax: 8,
  amqpValuesMax: 1_024,
  /** Sessions of a connection: gateways have one for each of up to 1,000 devices. */
  amqpSessionsMax: 1_024,
  /** Links of a session: all of a device are 7, with those for its token 9. */
  amqpLinksMax: 16,
  /** Sessions, and refused tokens, before it is known who sends. */
  amqpUnprovenMax: 4,
  /** Frames that begin or end sessions and links, in a second and at once: the links of 1,000 devices. */
  amqpLinkFramesPerSecond: 50,
  amqpLinkFramesBurst: 12_000,
  /** Messages that a device may send before it is granted more: half of them are a usual chunk. */
  amqpCredit: 500,
  /** Messages of a link without an outcome, after which no more credit is granted. */
  amqpUnsettledMax: 5_000,
  /** Largest message: a body and its properties, as a packet of MQTT. */
  amqpMessageBytesMax: 256 * 1024 + 32 * 1024,
  /** Messages of a connection that are not whole yet, together. */
  amqpJoinedBytesMax: 1024 * 1024,
  /** Messages in one transfer of the hub's batch format: bounds what a small message becomes, since each has its own properties. */
  amqpBatchMessagesMax: 5_000,
  /** Tokens of a connection that are being judged; a further one waits at the client. */
  amqpTokensUnderWayMax: 16,
  /** Tokens of policies that a connection keeps; the latest of each scope counts. */
  amqpPolicyTokensMax: 4,
  /** Tokens of services that a connection keeps, one for each thing that it reads. */
  amqpServiceTokensMax: 1_024,
  /** Tokens of open links of services are judged again after this time. */
  amqpServiceLookMs: 10_000,
  /** Commands of a link that the service API has not answered. */
  amqpCommandsUnderWayMax: 50,
  /** Records that a receiver of feedback or file notifications has not settled; each may be as many as the service API gives at once. */
  amqpRecordsUnderWayMax: 8,
  /** A receiver for which there is nothing asks again after this time, and after the other where it got no answer. */
  amqpRecordsPollMs: 1_000,
  amqpRecordsRetryMs: 5_000,
  /** Clients are asked to say something within this time, and are gone after one and a half of it. */
  amqpIdleMs: 120_000,
  /** Messages to a client that wait for its credit, on one link. */
  amqpWaitingMax: 64,
  /** Messages to a client that it has not settled, in one session: all that may wait on its links, once. */
  amqpUnsettledSentMax: 1_024,
} as const
