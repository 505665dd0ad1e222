/**
 * Messages of one sender, read in place. What stands before the body of most messages is, byte for byte, what stood there in the last one:
 * then they have its route, and nothing of it is read again.
 *
 *   header, annotations, properties, application properties │ data: 00 53 75, a0 length or b0 length, body │ footer, seldom
 */
import type { Batcher } from '#ingest/batches/batcher.ts'
import { type Route, routeOfReading } from '#ingest/batches/route.ts'
import { bodyTooLarge } from '#ingest/device-api/telemetry.ts'
import { ReadMessage, sectionCode, sections, sectionValue } from '#runtime/amqp/message.ts'
import { endOfValue, malformed } from '#runtime/amqp/read-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { messageTexts } from './message-properties.ts'

/** Longest beginning that is kept to be compared: longer ones are seldom the same twice. */
const keptBytesMax = 1024

/** Results lie in its fields until the next `read`, so that none is allocated. */
export class MessageReader {
  /** The body lies at `bodyStart`..`bodyEnd` of it: the frame, or, of a body in several parts, a buffer of its own. */
  source: Buffer = nothing
  bodyStart = 0
  bodyEnd = 0
  readonly #batcher: Batcher
  readonly #sender: IdentityId
  #route: Route | undefined = undefined
  #prefix: Buffer = nothing

  constructor(batcher: Batcher, sender: IdentityId) {
    this.#batcher = batcher
    this.#sender = sender
  }

  /**
   * Reads the message at `start`..`end`. HOT: per message.
   * @throws INGEST_FRAME_MALFORMED, INGEST_BODY_MALFORMED, INGEST_MESSAGE_TOO_LARGE
   */
  read(bytes: Buffer, start: number, end: number): Route {
    const route = this.#route
    if (route !== undefined && this.#startsAsBefore(bytes, start, end)) {
      const at = start + this.#prefix.length
      if (this.#isWholeBody(bytes, at, end)) return route
    }
    return this.#readAnew(bytes, start, end)
  }

  #startsAsBefore(bytes: Buffer, start: number, end: number): boolean {
    const prefix = this.#prefix
    if (prefix.length > end - start) return false
    for (let i = 0; i < prefix.length; i++) if (prefix[i] !== bytes[start + i]) return false
    return true
  }

  /** True if all that follows is one data section. */
  #isWholeBody(bytes: Buffer, at: number, end: number): boolean {
    if (end - at < 5 || bytes[at] !== 0 || bytes[at + 1] !== 0x53 || bytes[at + 2] !== sections.data) return false
    const format = bytes[at + 3]
    if (format === 0xa0) {
      this.bodyStart = at + 5
      this.bodyEnd = this.bodyStart + (bytes[at + 4] as number)
    } else if (format === 0xb0 && end - at >= 8) {
      this.bodyStart = at + 8
      this.bodyEnd = this.bodyStart + bytes.readUInt32BE(at + 4)
    } else return false
    if (this.bodyEnd !== end || this.bodyEnd - this.bodyStart > limits.bodyBytesMax) return false
    this.source = bytes
    return true
  }

  #readAnew(bytes: Buffer, start: number, end: number): Route {
    const message = new ReadMessage(bytes, start, end)
    if (message.hasOtherBody)
      throw new PenstockError('INGEST_BODY_MALFORMED', 'the body must be bytes or text: data sections, or such a value')
    this.source = message.body
    this.bodyStart = 0
    this.bodyEnd = this.source.length
    if (this.bodyEnd > limits.bodyBytesMax) throw bodyTooLarge(this.bodyEnd)
    const { application, system } = messageTexts(message)
    const { deviceId, moduleId } = this.#sender
    if (moduleId !== undefined) system.set('moduleId', moduleId)
    const route = routeOfReading(this.#batcher, { deviceId, properties: application, systemProperties: system })
    const prefixBytes = bodySection(bytes, start, end) - start
    if (prefixBytes <= keptBytesMax) {
      this.#route = route
      this.#prefix = Buffer.from(bytes.subarray(start, start + prefixBytes))
    }
    return route
  }
}

const nothing = Buffer.alloc(0)

/** Where the first section of the body begins, else the end. */
function bodySection(bytes: Buffer, start: number, end: number): number {
  let at = start
  while (at < end) {
    const code = sectionCode(bytes, at, end)
    if (code >= sections.data) return at
    at = endOfValue(bytes, sectionValue(bytes, at), end)
  }
  return at
}

/**
 * The messages of a transfer in the hub's batch format: each data section is a whole message.
 * @param onMessage told where each lies in `bytes`
 * @throws INGEST_FRAME_MALFORMED, INGEST_MESSAGE_TOO_LARGE
 */
export function forEachOfBatch(
  bytes: Buffer,
  start: number,
  end: number,
  onMessage: (start: number, end: number) => void,
): void {
  let count = 0
  for (let at = start; at < end; ) {
    const code = sectionCode(bytes, at, end)
    const valueStart = sectionValue(bytes, at)
    const valueEnd = endOfValue(bytes, valueStart, end)
    if (code === sections.data) {
      const format = bytes[valueStart]
      if (format !== 0xa0 && format !== 0xb0) throw malformed('a message of a batch that is not bytes')
      if (++count > limits.amqpBatchMessagesMax)
        throw new PenstockError(
          'INGEST_MESSAGE_TOO_LARGE',
          `more than ${limits.amqpBatchMessagesMax} messages in a batch`,
        )
      onMessage(valueStart + (format === 0xa0 ? 2 : 5), valueEnd)
    }
    at = valueEnd
  }
  if (count === 0) throw malformed('a batch without messages')
}
