import { PartialFrame } from '#ingest/session/partial-frame.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { Link } from './link.ts'
import type { TransferReader } from './transfer-reader.ts'

/** What takes the messages of a link. */
export interface MessageTaker {
  /** Messages that may be under way to it at this moment. */
  creditWanted(): number
  /**
   * One whole message, at `start`..`end` of `bytes`, which are valid during the call.
   * @throws PenstockError, which ends the link if its disposition is `reject`, else the connection
   */
  take(deliveryId: number, settled: boolean, messageFormat: number, bytes: Buffer, start: number, end: number): void
}

/** Where messages wait that come in several frames. */
export interface JoinRoom {
  /** Bytes that wait there for all links of the connection. */
  joinedBytes: number
  readonly joinedBytesMax: number
}

/** A message of which more is to come. */
interface Joined {
  readonly deliveryId: number
  readonly settled: boolean
  readonly messageFormat: number
  /** One buffer, however many frames it comes in: a byte in each would otherwise cost a hundred times that. */
  readonly bytes: PartialFrame
}

/** A link on which the client sends. */
export class IncomingLink extends Link {
  #taker: MessageTaker | undefined = undefined
  /** Messages that the client may still send. */
  #credit = 0
  #deliveryCount = this.request.initialDeliveryCount
  #joined: Joined | undefined = undefined

  accept(taker: MessageTaker): void {
    this.#taker = taker
    this.begin()
    this.grant()
  }

  /** Grants as much as is wanted, once the client has no more than half of it. */
  grant(): void {
    const wanted = this.#taker?.creditWanted() ?? 0
    if (!this.isOpen || wanted <= this.#credit || this.#credit > wanted >> 1) return
    this.#credit = wanted
    this.session.writeFlow(this.request.handle, this.#deliveryCount, wanted)
  }

  /** The client asks what it may send. */
  tellFlow(): void {
    if (this.isOpen) this.session.writeFlow(this.request.handle, this.#deliveryCount, this.#credit)
  }

  /** HOT: per frame of a message. @throws as `MessageTaker.take` */
  transfer(transfer: TransferReader, bytes: Buffer, end: number, room: JoinRoom): void {
    const taker = this.#taker
    if (this.#joined !== undefined || transfer.more || taker === undefined || transfer.aborted) {
      this.#join(transfer, bytes, end, room)
      return
    }
    this.#count(transfer.deliveryId)
    taker.take(transfer.deliveryId, transfer.settled, transfer.messageFormat, bytes, transfer.payloadStart, end)
    if (this.#credit <= limits.amqpCredit >> 1) this.grant()
  }

  /** What waits of a message is forgotten with its link. */
  leave(room: JoinRoom): void {
    room.joinedBytes -= this.#joined?.bytes.length ?? 0
    assert(room.joinedBytes >= 0, 'no more bytes of messages are forgotten than waited')
    this.#joined = undefined
  }

  #count(deliveryId: number): void {
    if (deliveryId < 0)
      throw new PenstockError('INGEST_FRAME_MALFORMED', 'a transfer that begins a message without its id')
    if (this.#credit === 0) throw new PenstockError('INGEST_LINK_CREDIT', 'more messages than were granted')
    this.#credit--
    this.#deliveryCount = (this.#deliveryCount + 1) >>> 0
  }

  #join(transfer: TransferReader, bytes: Buffer, end: number, room: JoinRoom): void {
    // Frames may be on their way to a link that is not open any more.
    if (!this.isOpen || this.#taker === undefined) return
    if (this.#joined === undefined) {
      if (transfer.aborted) return
      this.#count(transfer.deliveryId)
      const { deliveryId, settled, messageFormat } = transfer
      this.#joined = { deliveryId, settled, messageFormat, bytes: new PartialFrame(limits.amqpMessageBytesMax) }
    }
    const joined = this.#joined
    if (transfer.aborted) {
      this.leave(room)
      return
    }
    const length = end - transfer.payloadStart
    if (joined.bytes.length + length > limits.amqpMessageBytesMax)
      throw new PenstockError('INGEST_MESSAGE_TOO_LARGE', `a message of more than ${limits.amqpMessageBytesMax} bytes`)
    if (room.joinedBytes + length > room.joinedBytesMax)
      throw new PenstockError('INGEST_FRAME_TOO_LARGE', 'too many messages of a connection are not whole yet')
    if (length > 0) joined.bytes.append(bytes, transfer.payloadStart, length)
    room.joinedBytes += length
    if (transfer.more) return
    this.leave(room)
    const whole = joined.bytes.take()
    const settled = joined.settled || transfer.settled
    this.#taker.take(joined.deliveryId, settled, joined.messageFormat, whole, 0, whole.length)
    joined.bytes.giveBack(whole)
    this.grant()
  }
}
