import type { Performative } from '#runtime/amqp/performative.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { Link, type LinkSession } from './link.ts'

/**
 *   accepted, rejected, released   what the client says
 *   sent                           settled as it was sent: nobody will say
 *   lost                           the link ended first, and the client may have it
 *   full, gone                     nothing was sent: too much waits, the link ended
 */
export type SendOutcome = 'accepted' | 'rejected' | 'released' | 'sent' | 'lost' | 'full' | 'gone'

export interface OutgoingMessage {
  /** The sections. */
  readonly payload: Buffer
  readonly tag: Buffer
  /** Nothing is heard of it, if the client allows that. */
  readonly settled: boolean
  readonly resolve: (outcome: SendOutcome) => void
}

const uintMax = 0xffff_ffff

/** What sends on a link by itself, as far as the client takes it. */
export interface MessageSource {
  /** The client may take more than before, or wants what is granted back. */
  wake(): void
}

export interface SendingSession extends LinkSession {
  readonly channel: number
  readonly clientFrameBytesMax: number
  /** Frames that can be written at this moment. */
  readonly transferRoom: number
  /** Of the message that is written next; the one behind it has the next number. */
  readonly nextDeliveryId: number
  /** Writes frames of so many messages. */
  writeTransfers(bytes: Buffer, frames: number, messages: number): void
  /** It can write a message at this moment; the client says how many frames it takes, and settles what it got. */
  readonly canTransfer: boolean
  transfer(link: OutgoingLink, message: OutgoingMessage, settled: boolean): void
}

/** A link on which the client receives. */
export class OutgoingLink extends Link {
  declare readonly session: SendingSession
  #credit = 0
  #drains = false
  #deliveryCount = 0
  readonly #waiting: OutgoingMessage[] = []
  #waitingBytes = 0
  #source: MessageSource | undefined = undefined

  /** @param source left out: what is sent comes by `send` */
  accept(source?: MessageSource): void {
    this.#source = source
    this.begin()
    // Credit may have come while it was decided.
    this.flush()
  }

  /** Messages that a source may write at this moment. */
  get room(): number {
    return this.isOpen ? Math.min(this.#credit, this.session.transferRoom) : 0
  }

  /** A source wrote messages. */
  spend(count: number): void {
    assert(
      count > 0 && count <= this.#credit,
      `a source sends what its client takes, and not ${count} of ${this.#credit}`,
    )
    this.#credit -= count
    this.#deliveryCount = (this.#deliveryCount + count) >>> 0
  }

  /** A source has nothing more at hand: a client that waits for that is told. */
  ranDry(): void {
    if (this.#drains) this.#drain()
  }

  /** Leaves once the client takes it, in order. Never rejects. */
  send(payload: Buffer, tag: Buffer, settled: boolean): Promise<SendOutcome> {
    if (this.isClosed) return Promise.resolve('gone')
    if (
      this.#waiting.length >= limits.amqpWaitingMax ||
      this.#waitingBytes + payload.length > limits.deliveriesWaitingBytesMax
    )
      return Promise.resolve('full')
    this.#waitingBytes += payload.length
    return new Promise((resolve) => {
      this.#waiting.push({ payload, tag, settled, resolve })
      this.flush()
    })
  }

  /** Writes what waits, as far as the client takes it. */
  flush(): void {
    if (this.#source !== undefined) {
      if (this.isOpen) this.#source.wake()
      return
    }
    while (this.isOpen && this.#credit > 0 && this.session.canTransfer) {
      const next = this.#waiting.shift()
      if (next === undefined) {
        assert(this.#waitingBytes === 0, 'where no message waits no bytes do')
        break
      }
      this.#waitingBytes -= next.payload.length
      this.#credit--
      this.#deliveryCount = (this.#deliveryCount + 1) >>> 0
      const settled = this.request.senderSettleMode === 1 || (next.settled && this.request.senderSettleMode !== 0)
      this.session.transfer(this, next, settled)
    }
    if (this.#drains) this.#drain()
  }

  /** The client says how many messages it takes (part 2, section 2.6.7). */
  flow(flow: Performative): void {
    const underWay = (this.#deliveryCount - (flow.number(5) ?? 0)) | 0
    this.#credit = Math.min(Math.max(0, (flow.number(6) ?? 0) - underWay), uintMax)
    this.#drains = flow.flag(8)
    this.flush()
    if (flow.flag(9) && this.isOpen) this.session.writeFlow(this.request.handle, this.#deliveryCount, this.#credit)
  }

  override end(): void {
    if (this.isClosed) return
    super.end()
    for (const { payload, resolve } of this.#waiting.splice(0)) {
      this.#waitingBytes -= payload.length
      resolve('gone')
    }
    assert(this.#waitingBytes === 0, 'the bytes that wait on a link are those of its messages')
  }

  /** What is granted and not used is given back. */
  #drain(): void {
    if (!this.isOpen || this.#credit === 0) return
    this.#deliveryCount = (this.#deliveryCount + this.#credit) >>> 0
    this.#credit = 0
    this.session.writeFlow(this.request.handle, this.#deliveryCount, 0, true)
  }
}
