/**
 * Telemetry, whichever transport brings it. A transport reads who sends and what is said about a message, each in its own spelling; here
 * is what they have in common: the names under which that is stored, the bounds of a message, and how its sender learns its fate.
 *
 *   topic, headers, annotations ─▶ reading ─▶ route ─▶ envelopes ─▶ batch ─▶ log ─▶ settled: acknowledged │ refused: never
 *
 * A transport that acknowledges message by message is the owner of its batches itself (`BatchOwner`). One that answers for several
 * messages together has `storeTogether`.
 */
import type { BatchOwner, OpenBatch, SentOver } from '#ingest/batches/batch.ts'
import { type Route, routeOfReading } from '#ingest/batches/route.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

/** Names under which what a protocol defines about a message is stored. Each transport has a table from its own spelling to these. */
export type SystemPropertyName =
  | 'contentEncoding'
  | 'contentSchema'
  | 'contentType'
  | 'correlationData'
  | 'correlationId'
  | 'creationTime'
  | 'expiry'
  | 'groupId'
  | 'groupSequence'
  | 'interfaceId'
  | 'messageExpiryInterval'
  | 'messageId'
  | 'moduleId'
  | 'outputName'
  | 'payloadFormatIndicator'
  | 'replyTo'
  | 'replyToGroupId'
  | 'responseTopic'
  | 'subject'
  | 'to'
  | 'topic'
  | 'userId'

/** Who sends, as proven by its connection or request; no message may say otherwise [G-6]. */
export interface Sender {
  readonly deviceId: string
  /** `undefined`: the device itself. */
  readonly moduleId: string | undefined
}

export interface MessageProperties {
  readonly application: ReadonlyMap<string, string>
  readonly system: ReadonlyMap<string, string>
  /** What they take of an envelope. */
  readonly bytes: number
}

export interface TelemetryMessage {
  readonly body: Buffer
  /** The same object for all messages that have the same properties. */
  readonly properties: MessageProperties
}

/** The fault of a message whose body is longer than `limits.bodyBytesMax`. */
export function bodyTooLarge(bodyBytes: number): PenstockError {
  return new PenstockError(
    'INGEST_MESSAGE_TOO_LARGE',
    `a message body of ${bodyBytes} bytes; at most ${limits.bodyBytesMax} are allowed`,
  )
}

/**
 * Takes in messages that are answered together. The caller has made sure that there is room: all are taken, without a pause between.
 * @param sentOver how they came
 * @param answer what the result resolves with, once the log has confirmed all of them [G-1]
 * @returns rejects with INGEST_MESSAGE_REFUSED if the log refused one of them for good, INGEST_DRAINING or LOG_UNAVAILABLE if it is not asked any more; others of them may
 *   be stored
 */
export function storeTogether<Answer>(
  edge: EdgeContext,
  sender: Sender,
  sentOver: SentOver,
  messages: readonly TelemetryMessage[],
  answer: Answer,
): Promise<Answer> {
  assert(messages.length > 0, 'there is a message to store: nothing is ever settled of none')
  return new Promise((resolve, reject) => {
    const owner = new TogetherOwner(edge, sentOver, messages.length, answer, resolve, reject)
    edge.batcher.tick()
    let routed: MessageProperties | undefined
    let route: Route | undefined
    for (const { body, properties } of messages) {
      if (route === undefined || properties !== routed) {
        routed = properties
        route = routeOfMessage(edge, sender, properties)
      }
      route.partition.write(route.frame, body, 0, body.length, owner)
    }
  })
}

function routeOfMessage(
  edge: EdgeContext,
  { deviceId, moduleId }: Sender,
  { application, system }: MessageProperties,
): Route {
  const systemProperties = moduleId === undefined ? system : new Map(system).set('moduleId', moduleId)
  return routeOfReading(edge.batcher, { deviceId, properties: application, systemProperties })
}

/** Owns messages of one or more batches that have one answer. */
class TogetherOwner<Answer> implements BatchOwner {
  batch: OpenBatch | undefined = undefined
  batchIndex = 0
  readonly sentOver: SentOver
  readonly #edge: EdgeContext
  readonly #count: number
  readonly #answer: Answer
  readonly #resolve: (answer: Answer) => void
  readonly #reject: (error: PenstockError) => void
  #waiting: number

  constructor(
    edge: EdgeContext,
    sentOver: SentOver,
    count: number,
    answer: Answer,
    resolve: (answer: Answer) => void,
    reject: (error: PenstockError) => void,
  ) {
    this.#edge = edge
    this.sentOver = sentOver
    this.#count = count
    this.#answer = answer
    this.#resolve = resolve
    this.#reject = reject
    this.#waiting = count
  }

  settled(count: number): void {
    assert(count > 0 && count <= this.#waiting, 'no more messages of a request are settled than wait')
    this.#waiting -= count
    if (this.#waiting > 0) return
    this.#edge.counters.acknowledged.add(this.#count)
    this.#resolve(this.#answer)
  }

  refused(_count: number, why: PenstockError): void {
    this.#reject(why)
  }
}
