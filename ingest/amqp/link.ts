/**
 * A link of a client, as its session has it. What lies behind its address is decided a moment after it came (`nodes.ts`).
 *
 *   deciding ── accept ──▶ open ── DETACH of either side, its session ends ──▶ closed
 *       └────── refuse: attached and detached at once, with the reason ─────────▶ closed
 */
import { performatives } from '#runtime/amqp/frames.ts'
import { type Encoded, ubyte, uint, ulong, type Value } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { AttachRequest } from './attach-request.ts'
import { errorOf } from './conditions.ts'

/** What links need of the session that they are in. */
export interface LinkSession {
  /** Writes a frame on the session's channel. */
  write(performative: number, fields: readonly Value[]): void
  /** Tells what the session and this link take, or have. */
  writeFlow(handle: number, deliveryCount: number, credit: number, drain?: boolean): void
  /** The link is over, and its handle free. */
  forget(link: Link): void
}

export abstract class Link {
  readonly session: LinkSession
  request: AttachRequest
  protected state: 'deciding' | 'open' | 'closed' = 'deciding'
  /** Called once, however the link ends; set by what lies behind it. */
  onEnded: (() => void) | undefined = undefined

  constructor(session: LinkSession, request: AttachRequest) {
    this.session = session
    this.request = request
  }

  get isOpen(): boolean {
    return this.state === 'open'
  }

  get isClosed(): boolean {
    return this.state === 'closed'
  }

  refuse(error: PenstockError): void {
    if (this.state !== 'deciding') return
    this.writeAttach()
    this.detach(error)
  }

  /** This side ends it. */
  detach(error: PenstockError): void {
    if (this.state === 'closed') return
    this.#writeDetach(errorOf(error))
    this.end()
  }

  /** The client ends it. */
  detached(): void {
    if (this.state === 'closed') return
    if (this.state === 'deciding') this.writeAttach()
    this.#writeDetach(null)
    this.end()
  }

  /** Its session is over: nothing more is said. */
  end(): void {
    if (this.state === 'closed') return
    this.state = 'closed'
    this.session.forget(this)
    this.onEnded?.()
  }

  protected begin(): void {
    assert(this.state === 'deciding', 'a link is accepted once')
    this.state = 'open'
    this.writeAttach()
    // Not needed any more, and most of what an idle link would hold.
    this.request = {
      ...this.request,
      name: '',
      source: null,
      target: null,
      sourceAddress: '',
      targetAddress: '',
      selector: undefined,
    }
  }

  protected writeAttach(): void {
    const { name, handle, clientSends, senderSettleMode, receiverSettleMode, source, target } = this.request
    this.session.write(performatives.attach, [
      name,
      uint(handle),
      clientSends,
      ubyte(senderSettleMode ?? 2),
      ubyte(receiverSettleMode ?? 0),
      source,
      target,
      null,
      false,
      clientSends ? null : uint(0),
      ulong(limits.amqpMessageBytesMax),
      null,
      null,
      null,
    ])
  }

  #writeDetach(error: Encoded | null): void {
    this.session.write(performatives.detach, [uint(this.request.handle), true, error])
  }
}
