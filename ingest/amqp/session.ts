/**
 * A session of AMQP (part 2, section 2.5): links, and the numbers by which their messages are known.
 *
 *   BEGIN ─▶ ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH of its links ─▶ END
 *
 * What the client sends is bounded by the credit of its links, so the session's own window is never the narrower one.
 */
import { frame, performatives } from '#runtime/amqp/frames.ts'
import type { Performative } from '#runtime/amqp/performative.ts'
import { DescribedValue, malformed, type ReadValue } from '#runtime/amqp/read-values.ts'
import { described, Encoded, uint, ushort, type Value } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { readAttach } from './attach-request.ts'
import { errorOf } from './conditions.ts'
import { IncomingLink, type JoinRoom } from './incoming-link.ts'
import type { Link } from './link.ts'
import { OutgoingLink, type OutgoingMessage, type SendingSession, type SendOutcome } from './outgoing-link.ts'
import type { TransferReader } from './transfer-reader.ts'

/** What a session needs of its connection. */
export interface SessionConnection extends JoinRoom {
  /** Largest frame that the client takes. */
  readonly clientFrameBytesMax: number
  /** The client has not read so much that more shall wait. */
  readonly isBehind: boolean
  write(bytes: Uint8Array): void
  /** Decides what lies behind a link, now or later. */
  attached(link: Link, session: AmqpSession): void
  /** A link was refused or ended for its own fault. */
  linkFailed(error: PenstockError): void
}

/** In frames; every FLOW tells it anew. */
const incomingWindow = 0x7fff_ffff
const outcomes = { received: 0x23, accepted: 0x24, rejected: 0x25, released: 0x26, modified: 0x27 } as const
export const acceptedState = described(outcomes.accepted, new Encoded(Buffer.from([0x45])))

interface Unsettled {
  readonly link: OutgoingLink
  readonly resolve: (outcome: SendOutcome) => void
}

/** A message of several frames, of which some wait for the client's window. Nothing else is sent meanwhile. */
interface Unfinished {
  readonly link: OutgoingLink
  readonly message: OutgoingMessage
  readonly settled: boolean
  readonly deliveryId: number
  /** Bytes of its payload that are written. */
  at: number
}

export class AmqpSession implements SendingSession {
  readonly #connection: SessionConnection
  readonly #channel: number
  /** By the client's handles, which answers use as well. */
  readonly #links = new Map<number, Link>()
  #nextIncomingId: number
  #nextOutgoingId = 0
  #nextDeliveryId = 0
  /** Frames of messages that the client takes. */
  #clientWindow: number
  /** Made for the first message to the client that it is to settle: most of many sessions only send. */
  #unsettled: Map<number, Unsettled> | undefined = undefined
  #unfinished: Unfinished | undefined = undefined

  /** @throws INGEST_FRAME_MALFORMED */
  constructor(connection: SessionConnection, channel: number, begin: Performative) {
    this.#connection = connection
    this.#channel = channel
    this.#nextIncomingId = begin.number(1) ?? 0
    this.#clientWindow = begin.number(2) ?? 0
    this.write(performatives.begin, [
      ushort(channel),
      uint(0),
      uint(incomingWindow),
      uint(incomingWindow),
      uint(limits.amqpLinksMax - 1),
      null,
      null,
      null,
    ])
  }

  get links(): Iterable<Link> {
    return this.#links.values()
  }

  write(performative: number, fields: readonly Value[]): void {
    this.#connection.write(frame(this.#channel, performative, fields))
  }

  writeFlow(handle: number | undefined, deliveryCount = 0, credit = 0, drain = false): void {
    const link: Value[] =
      handle === undefined
        ? [null, null, null, null, false]
        : [uint(handle), uint(deliveryCount), uint(credit), uint(0), drain]
    this.write(performatives.flow, [
      uint(this.#nextIncomingId),
      uint(incomingWindow),
      uint(this.#nextOutgoingId),
      uint(incomingWindow),
      ...link,
      false,
      null,
    ])
  }

  forget(link: Link): void {
    const { handle } = link.request
    assert(this.#links.get(handle) === link, 'a link has its handle until it ends')
    this.#links.delete(handle)
    if (link instanceof IncomingLink) link.leave(this.#connection)
    if (this.#unfinished?.link === link) {
      if (this.#unfinished.settled) this.#unfinished.message.resolve('lost')
      this.#unfinished = undefined
    }
    for (const [deliveryId, { link: of, resolve }] of this.#unsettled ?? []) {
      if (of !== link) continue
      this.#unsettled?.delete(deliveryId)
      resolve('lost')
    }
  }

  /** Any frame but TRANSFER, BEGIN and END. @throws PenstockError, which ends the connection */
  read(performative: Performative, bytes: Buffer, start: number, end: number): void {
    switch (performative.code) {
      case performatives.attach:
        this.#attach(performative, bytes, start, end)
        return
      case performatives.flow:
        this.#flow(performative)
        return
      case performatives.disposition:
        this.#disposition(performative)
        return
      case performatives.detach:
        this.#linkOf(performative.number(0))?.detached()
        // What it leaves unsettled kept others from sending.
        this.drained()
        return
      default:
        throw malformed(`a frame of kind ${performative.code} in a session`)
    }
  }

  /** HOT: per frame of a message. @throws PenstockError, which ends the connection */
  readTransfer(transfer: TransferReader, bytes: Buffer, end: number): void {
    this.#nextIncomingId = (this.#nextIncomingId + 1) >>> 0
    const link = this.#links.get(transfer.handle)
    // Messages may be on their way to a link that was just ended by this side.
    if (link === undefined) return
    if (!(link instanceof IncomingLink))
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a message on a link that receives')
    try {
      link.transfer(transfer, bytes, end, this.#connection)
    } catch (error) {
      if (!(error instanceof PenstockError) || error.disposition !== 'reject') throw error
      this.#connection.linkFailed(error)
      link.detach(error)
    }
  }

  /** A run of messages of the client has this outcome. */
  settle(first: number, last: number, state: Encoded): void {
    this.write(performatives.disposition, [true, uint(first), uint(last), true, state, false])
  }

  rejected(deliveryId: number, error: PenstockError): void {
    this.rejectedFor(deliveryId, errorOf(error))
  }

  /** @param error as the norm has it (part 2, section 2.8.14) */
  rejectedFor(deliveryId: number, error: Encoded): void {
    this.settle(deliveryId, deliveryId, described(outcomes.rejected, [error]))
  }

  get channel(): number {
    return this.#channel
  }

  get clientFrameBytesMax(): number {
    return this.#connection.clientFrameBytesMax
  }

  get transferRoom(): number {
    return this.canTransfer ? this.#clientWindow : 0
  }

  get nextDeliveryId(): number {
    return this.#nextDeliveryId
  }

  writeTransfers(bytes: Buffer, frames: number, messages: number): void {
    assert(frames <= this.#clientWindow, `a client that takes ${this.#clientWindow} frames is not sent ${frames}`)
    assert(messages <= frames, `${frames} frames hold no more messages than that, and not ${messages}`)
    assert(bytes.length <= frames * this.clientFrameBytesMax, 'no frame is longer than its client takes')
    this.#connection.write(bytes)
    this.#nextDeliveryId = (this.#nextDeliveryId + messages) >>> 0
    this.#nextOutgoingId = (this.#nextOutgoingId + frames) >>> 0
    this.#clientWindow -= frames
  }

  get canTransfer(): boolean {
    const unsettled = this.#unsettled?.size ?? 0
    if (this.#unfinished !== undefined) return false
    return this.#clientWindow > 0 && unsettled < limits.amqpUnsettledSentMax && !this.#connection.isBehind
  }

  transfer(link: OutgoingLink, message: OutgoingMessage, settled: boolean): void {
    assert(this.#unfinished === undefined, 'messages of a session follow one another')
    const deliveryId = this.#nextDeliveryId
    this.#nextDeliveryId = (deliveryId + 1) >>> 0
    if (!settled) {
      this.#unsettled ??= new Map()
      assert(!this.#unsettled.has(deliveryId), 'no two messages wait for an outcome under one number [G-7]')
      this.#unsettled.set(deliveryId, { link, resolve: message.resolve })
    }
    this.#unfinished = { link, message, settled, deliveryId, at: 0 }
    this.#writeUnfinished()
  }

  /** As many of its frames as the client's window has room for (part 2, section 2.5.6). */
  #writeUnfinished(): void {
    const unfinished = this.#unfinished
    while (unfinished !== undefined && this.#clientWindow > 0) {
      const { link, message, settled, deliveryId, at } = unfinished
      const { payload, tag } = message
      const partBytes = Math.min(payload.length - at, this.clientFrameBytesMax - transferBytesMax)
      assert(partBytes >= 0, 'the smallest frame has room for a part of a message')
      const end = at + partBytes
      const more = end < payload.length
      const ids: Value[] = [uint(link.request.handle), uint(deliveryId), tag, uint(0)]
      const fields: Value[] = [...ids, settled, more, null, null, false, false, false]
      this.writeTransfers(frame(this.#channel, performatives.transfer, fields, payload.subarray(at, end)), 1, 0)
      unfinished.at = end
      if (more) continue
      this.#unfinished = undefined
      if (settled) message.resolve('sent')
      return
    }
  }

  /** The client reads again, or has settled what it had. */
  drained(): void {
    for (const link of this.#links.values()) if (link instanceof OutgoingLink) link.flush()
  }

  /** The session is over, and all that is in it. */
  end(): void {
    for (const link of [...this.#links.values()]) link.end()
    const isSettled = this.#unfinished === undefined && (this.#unsettled?.size ?? 0) === 0
    assert(this.#links.size === 0 && isSettled, 'a session that is over leaves nobody waiting for an outcome [G-7]')
  }

  #attach(performative: Performative, bytes: Buffer, start: number, end: number): void {
    const request = readAttach(performative, bytes, start, end)
    if (request.handle >= limits.amqpLinksMax || this.#links.has(request.handle))
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a handle that is in use, or above those that were offered')
    const link = request.clientSends ? new IncomingLink(this, request) : new OutgoingLink(this, request)
    this.#links.set(request.handle, link)
    this.#connection.attached(link, this)
  }

  #linkOf(handle: number | undefined): Link | undefined {
    if (handle === undefined) throw malformed('a frame of a link without its handle')
    // Frames may be on their way to a link that was just ended by this side.
    return this.#links.get(handle)
  }

  #flow(flow: Performative): void {
    // Frames may be on their way that the client had not seen, and it may have made its window smaller.
    const underWay = (this.#nextOutgoingId - (flow.number(0) ?? 0)) | 0
    this.#clientWindow = Math.max(0, (flow.number(1) ?? 0) - underWay)
    this.#writeUnfinished()
    const handle = flow.number(4)
    const link = handle === undefined ? undefined : this.#linkOf(handle)
    if (link instanceof OutgoingLink) link.flow(flow)
    else if (flow.flag(9)) {
      if (link instanceof IncomingLink) link.tellFlow()
      else this.writeFlow(undefined)
    }
    for (const other of this.#links.values()) if (other instanceof OutgoingLink && other !== link) other.flush()
  }

  /** Costs what is unsettled, whatever the client says of how many it means. */
  #disposition(disposition: Performative): void {
    const isOfReceiver = disposition.flag(0)
    const first = disposition.number(1)
    if (first === undefined) throw malformed('a disposition of no message')
    // What the client sent is settled by this side.
    if (!isOfReceiver) return
    const last = disposition.number(2) ?? first
    const isSettled = disposition.flag(3)
    const state = disposition.at(4)
    const outcome = outcomeOf(state, isSettled)
    if (outcome === undefined) return
    const span = (last - first) >>> 0
    for (const deliveryId of span === 0 ? [first] : [...(this.#unsettled?.keys() ?? [])]) {
      if ((deliveryId - first) >>> 0 > span) continue
      const unsettled = this.#unsettled?.get(deliveryId)
      this.#unsettled?.delete(deliveryId)
      unsettled?.resolve(outcome)
    }
    if (!isSettled) this.write(performatives.disposition, [false, uint(first), uint(last), true, stateOf(state), false])
    this.drained()
  }
}

/** A head, and eleven fields of which the tag is the longest. */
const transferBytesMax = 128

function outcomeOf(state: ReadValue, isSettled: boolean): SendOutcome | undefined {
  if (!(state instanceof DescribedValue)) return isSettled ? 'accepted' : undefined
  switch (state.descriptor) {
    case outcomes.accepted:
      return 'accepted'
    case outcomes.rejected:
      return 'rejected'
    case outcomes.released:
    case outcomes.modified:
      return 'released'
    default:
      return isSettled ? 'accepted' : undefined
  }
}

/** The outcome alone: what the client said beside it is its own. */
function stateOf(state: ReadValue): Encoded | null {
  if (!(state instanceof DescribedValue) || typeof state.descriptor !== 'number') return null
  return described(state.descriptor, new Encoded(Buffer.from([0x45])))
}
