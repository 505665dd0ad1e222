/**
 * AMQP 1.0 on one connection: headers, frames, SASL, sessions. Devices on it are `seats.ts`, their messages `telemetry-target.ts`; what
 * becomes of the byte stream is `ingest/session/connection.ts`.
 *
 *   SASL header ─▶ mechanism ─▶ outcome ─▶ AMQP header ─▶ OPEN ─▶ BEGIN … END ─▶ CLOSE
 *   8 bytes        1 frame, ≤ 1 KiB        8 bytes        frames ≤ 8 KiB until a device is let in, then ≤ 64 KiB
 *
 * Some clients leave SASL out, which is as if they had said ANONYMOUS.
 *
 * It waits like any client that has not said who it is until a token, a password or a certificate is good for a device: until then it has
 * a few sessions and links for tokens, and 10 seconds in all. Frames are read in place; only one that a chunk cuts in two is copied.
 */

import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import { Connection, type ConnectionState } from '#ingest/session/connection.ts'
import { type EdgeContext, tickMs } from '#ingest/session/edge-context.ts'
import { faultOf } from '#ingest/session/fault.ts'
import { PartialFrame } from '#ingest/session/partial-frame.ts'
import { type PauseReason, pauseReasons } from '#ingest/session/pause-reasons.ts'
import type { Transport } from '#ingest/session/transport.ts'
import {
  amqpHeader,
  bodyStartOf,
  emptyFrame,
  frame,
  frameTypes,
  performatives,
  saslHeader,
} from '#runtime/amqp/frames.ts'
import { type Performative, readFrame } from '#runtime/amqp/performative.ts'
import { uint, ushort } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import { TokenBucket } from '#runtime/token-bucket.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { connectionErrorOf } from './conditions.ts'
import { type FramePhase, type Measured, measureFrame } from './frame-phase.ts'
import type { Link } from './link.ts'
import { Nodes } from './nodes.ts'
import { saslChallenge, saslOk, saslRefused } from './sasl.ts'
import { SaslExchange } from './sasl-exchange.ts'
import { type Seat, type SeatConnection, Seats } from './seats.ts'
import type { OpenServiceSide, ServiceSide } from './service-side.ts'
import { AmqpSession, type SessionConnection } from './session.ts'
import { TransferReader } from './transfer-reader.ts'

/** All connections read one after the other. */
const transfer = new TransferReader()

/** What there is beside devices. */
export interface AmqpOffers {
  readonly openServices?: OpenServiceSide | undefined
  /** Left out: nobody registers here. */
  readonly provisioning?: Provisioning | undefined
}

export class AmqpConnection extends Connection implements SessionConnection, SeatConnection, Measured {
  declare readonly edge: EdgeContext
  declare readonly transport: Transport
  clientFrameBytesMax = 512
  joinedBytes = 0
  #phase: FramePhase = 'anyHeader'
  readonly #sessions = new Map<number, AmqpSession>()
  readonly #seats = new Seats(this)
  readonly #sasl: SaslExchange
  readonly #openServices: OpenServiceSide | undefined
  #services: ServiceSide | undefined = undefined
  readonly #nodes: Nodes
  readonly #partial = new PartialFrame(limits.amqpFrameBytesMax)
  /** Written at the end of the turn, in one piece. */
  #unwritten: Uint8Array[] = []
  #linkFrames: TokenBucket | undefined = undefined
  #firstLinkFrames = 0
  #refusals = 0
  /** Seats that sent something in the chunk that is being read. */
  readonly #touched: Seat[] = []
  /** Each ends a wait for a quota. */
  #releases: Set<() => void> | undefined = undefined
  /** The client wants to hear something that often. */
  #beatMs = Number.POSITIVE_INFINITY
  #wroteAtTick = 0
  /** A device or service was let in, or still there. */
  #seatedAtTick = 0
  /** Tokens of services were judged again. */
  #lookedAtTick = 0

  constructor(edge: EdgeContext, transport: Transport, { openServices, provisioning }: AmqpOffers = {}) {
    super(edge, transport)
    this.#openServices = openServices
    this.#sasl = new SaslExchange(this.#seats, provisioning)
    this.#nodes = new Nodes({
      edge,
      seats: this.#seats,
      provisioning,
      services: () => {
        this.#services ??= this.#openServices?.(this)
        return this.#services
      },
      touched: (seat) => this.#touched.push(seat),
      onRefused: (error) => this.linkFailed(error),
    })
  }

  get isOver(): boolean {
    return this.isClosed()
  }

  get isBehind(): boolean {
    return this.transport.writeBytes > limits.socketWriteBytesMax
  }

  get joinedBytesMax(): number {
    return this.state === 'open' ? limits.amqpJoinedBytesMax : limits.amqpFirstFramesBytesMax
  }

  /** Bytes for the client, which leave in one piece at the end of the turn. */
  override write(bytes: Uint8Array): void {
    if (this.isClosed()) return
    if (this.#unwritten.push(bytes) === 1) queueMicrotask(() => this.#flush())
  }

  /** Links whose messages were all settled while the edge was full hear of it in no other way. */
  override unpause(reason: PauseReason): void {
    super.unpause(reason)
    if (reason === pauseReasons.edge) for (const seat of this.#seats.all) seat.grant()
  }

  proven(): void {
    this.#seatedAtTick = this.edge.ticks
    if (this.state === 'waiting') this.open((limits.amqpIdleMs * 3) / 2)
  }

  attached(link: Link, session: AmqpSession): void {
    this.#countLinkFrame()
    void this.#nodes.attach(link, session)
  }

  linkFailed(error: PenstockError): void {
    if (this.isClosed()) return
    this.edge.metrics.series('penstock_edge_amqp_links_refused_total', { reason: error.code }).add(1)
    this.edge.refusals.tell(error, this.transport.remoteAddress)
    if (this.state === 'waiting' && ++this.#refusals >= limits.amqpUnprovenMax) this.fail(error)
  }

  protected read(chunk: Buffer): void {
    let at = 0
    if (this.#partial.length > 0) at = this.#completePartial(chunk)
    if (at < chunk.length && !this.isClosed()) at = this.#readFrames(chunk, at, chunk.length)
    if (at < chunk.length && !this.isClosed()) {
      const length = measureFrame(chunk, at, chunk.length, this)
      this.#partial.keep(chunk, at, length)
    }
    this.#flush()
  }

  /** Each device is charged with what it sent. One that owes gets no credit; where it is alone, or owes much, nothing is read. */
  protected charge(_messages: number, chunkBytes: number): number {
    let waitMs = 0
    const isAlone = this.#seats.count === 1
    // Frames that are no message are its own, too.
    if (isAlone && this.#touched.length === 0) this.#touched.push(...this.#seats.all)
    for (const seat of this.#touched.splice(0)) {
      const { messages, bytes } = seat
      seat.messages = 0
      seat.bytes = 0
      // Who left with the chunk has sent it all the same.
      const isSeated = this.#seats.has(seat)
      const isChunkOwn = isAlone && isSeated
      try {
        const owedMs = seat.session.meter.charge(messages, isChunkOwn ? chunkBytes : bytes, this.edge.batcher.nowMs)
        if (!isSeated) continue
        if (owedMs > 0 && !isAlone) this.#hold(seat, owedMs)
        if (isAlone || owedMs > limits.shapingMsMax / 2) waitMs = Math.max(waitMs, owedMs)
      } catch (error) {
        seat.fail(faultOf(error))
      }
    }
    return waitMs
  }

  protected lookAfterSessions(nowMs: number): void {
    for (const seat of [...this.#seats.all]) {
      if (seat.session.isExpired(nowMs))
        seat.fail(new PenstockError('INGEST_NOT_AUTHORIZED', 'the credentials of this device have expired'))
      else seat.session.meter.report()
    }
    const links = this.#services?.count ?? 0
    if (links > 0) this.#lookAtServices()
    if (this.#seats.count + links > 0) this.#seatedAtTick = this.edge.ticks
    // Who stays without a device keeps a place from those that have one, whatever it goes on to say.
    else if (this.state === 'open' && (this.edge.ticks - this.#seatedAtTick) * tickMs >= limits.amqpIdleMs) {
      this.fail(new PenstockError('INGEST_KEEP_ALIVE_TIMEOUT', `no device or service for ${limits.amqpIdleMs} ms`))
      return
    }
    const silentMs = (this.edge.ticks - this.#wroteAtTick) * tickMs
    if (this.#phase === 'opened' && silentMs >= this.#beatMs) this.write(emptyFrame)
  }

  protected endSessions(reason: string): void {
    for (const release of [...(this.#releases ?? [])]) release()
    this.#seats.end(reason)
    this.#services?.end()
  }

  protected farewell(ended: ConnectionState, error: PenstockError): Uint8Array | undefined {
    const written = this.#unwritten.splice(0)
    if (this.#phase === 'anyHeader' && error.code === 'INGEST_PROTOCOL_ERROR') written.push(saslHeader)
    else if (this.#phase === 'saslDeciding') written.push(saslRefused)
    else if (this.#phase === 'opened') written.push(frame(0, performatives.close, [connectionErrorOf(error)]))
    // In a flood of clients that say nothing, none stays to be told why.
    if (ended === 'waiting' && error.code === 'INGEST_CONNECT_TIMEOUT') return undefined
    return written.length === 0 ? undefined : Buffer.concat(written)
  }

  protected onEnded(): void {
    this.#partial.forget()
    for (const session of this.#sessions.values()) session.end()
    this.#sessions.clear()
    assert(
      this.#seats.count === 0,
      'no device stays on a connection that is over: it would count as connected for ever',
    )
    assert(this.joinedBytes === 0, 'what waited of messages is forgotten with their links [G-4]')
  }

  override onDrained(): void {
    super.onDrained()
    for (const session of this.#sessions.values()) session.drained()
  }

  get phase(): FramePhase {
    return this.#phase
  }

  get isProven(): boolean {
    return this.state === 'open'
  }

  /** Reads whole frames and returns the position of the first byte that belongs to none. HOT: per frame. */
  #readFrames(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (at < end && this.#phase !== 'saslDeciding') {
      const length = measureFrame(bytes, at, end, this)
      if (length === 0 || at + length > end) break
      if (this.#phase === 'opened') this.#frame(bytes, at, at + length)
      else this.#firstBytes(bytes, at, at + length)
      if (this.isClosed()) return end
      at += length
    }
    return at
  }

  /** HOT: per frame. */
  #frame(bytes: Buffer, start: number, end: number): void {
    if (bytes[start + 5] !== frameTypes.amqp) throw notNow('a frame of another kind than AMQP')
    const bodyStart = bodyStartOf(bytes, start, end)
    const channel = bytes.readUInt16BE(start + 6)
    if (end - bodyStart > 4 && bytes[bodyStart + 2] === performatives.transfer && bytes[bodyStart + 1] === 0x53) {
      transfer.read(bytes, bodyStart + 3, end)
      this.#sessionOf(channel).readTransfer(transfer, bytes, end)
      return
    }
    const read = readFrame(bytes, start, end)
    if (read === undefined) return
    const { performative } = read
    switch (performative.code) {
      case performatives.begin:
        this.#begin(channel, performative)
        return
      case performatives.end:
        this.#countLinkFrame()
        this.#sessionOf(channel).end()
        this.#sessions.delete(channel)
        this.write(frame(channel, performatives.end, [null]))
        return
      case performatives.close:
        this.write(frame(0, performatives.close, [null]))
        this.#flush()
        this.endByClient()
        return
      case performatives.open:
        throw notNow('a second OPEN')
      default:
        this.#sessionOf(channel).read(performative, bytes, start, end)
    }
  }

  #sessionOf(channel: number): AmqpSession {
    const session = this.#sessions.get(channel)
    if (session === undefined) throw notNow(`a frame on channel ${channel}, on which no session began`)
    return session
  }

  #begin(channel: number, begin: Performative): void {
    this.#countLinkFrame()
    const sessionsMax = this.state === 'open' ? limits.amqpSessionsMax : limits.amqpUnprovenMax
    if (channel >= limits.amqpSessionsMax || this.#sessions.size >= sessionsMax || this.#sessions.has(channel))
      throw notNow('a session on a channel that is in use, or more sessions than are offered')
    this.#sessions.set(channel, new AmqpSession(this, channel, begin))
  }

  /** What comes before the first session. */
  #firstBytes(bytes: Buffer, start: number, end: number): void {
    switch (this.#phase) {
      case 'anyHeader':
        this.edge.batcher.stayAwake()
        if (bytes[start + 4] === saslHeader[4]) {
          this.write(saslHeader)
          this.write(this.#sasl.mechanisms)
          this.#phase = 'sasl'
          return
        }
        this.write(amqpHeader)
        this.#phase = 'open'
        return
      case 'sasl':
        this.#readSasl(bytes, start, end)
        return
      case 'amqpHeader':
        this.write(amqpHeader)
        this.#phase = 'open'
        return
      case 'open':
        this.#open(bytes, start, end)
        return
      default:
        throw notNow('a frame while it is decided who sends')
    }
  }

  #readSasl(bytes: Buffer, start: number, end: number): void {
    if (bytes[start + 5] !== frameTypes.sasl) throw notNow('a frame of another kind than SASL')
    const read = readFrame(bytes, start, end)
    if (read === undefined) throw notNow('an empty frame')
    // From here on a refusal is told.
    this.#phase = 'saslDeciding'
    const next = this.#sasl.take(read.performative)
    if (!(next instanceof Promise)) {
      this.#goOn(next)
      return
    }
    this.transport.pause()
    next.then(
      (challenge) => this.#goOn(challenge),
      (error) => this.fail(faultOf(error)),
    )
  }

  /** @param challenge `undefined`: SASL is done */
  #goOn(challenge: Uint8Array | undefined): void {
    if (this.isClosed()) return
    this.write(challenge === undefined ? saslOk : saslChallenge(challenge))
    this.#phase = challenge === undefined ? 'amqpHeader' : 'sasl'
    this.resumeIfFree()
    if (this.#partial.length > 0) this.onChunk(this.#partial.take())
  }

  #open(bytes: Buffer, start: number, end: number): void {
    const performative = readFrame(bytes, start, end)?.performative
    if (performative?.code !== performatives.open) throw notNow('the first frame must be an OPEN')
    const frameBytesMax = performative.number(2) ?? limits.amqpFrameBytesMax
    if (frameBytesMax < 512) throw notNow('frames of fewer than 512 bytes')
    this.clientFrameBytesMax = Math.min(frameBytesMax, limits.amqpFrameBytesMax)
    const idleMs = performative.number(4) ?? 0
    if (idleMs > 0) this.#beatMs = idleMs / 2 - tickMs
    this.write(
      frame(0, performatives.open, [
        'penstock',
        null,
        uint(limits.amqpFrameBytesMax),
        ushort(limits.amqpSessionsMax - 1),
        uint(limits.amqpIdleMs),
        null,
        null,
        null,
        null,
        null,
      ]),
    )
    this.#phase = 'opened'
  }

  /** Beginning and ending links without end would cost more than messages do. */
  #countLinkFrame(): void {
    if (this.state !== 'open') {
      if (++this.#firstLinkFrames > 4 * limits.amqpUnprovenMax)
        throw notNow('more links than are needed to say who sends')
      return
    }
    const { nowMs } = this.edge.batcher
    this.#linkFrames ??= new TokenBucket(limits.amqpLinkFramesPerSecond, limits.amqpLinkFramesBurst, nowMs)
    if (this.#linkFrames.take(1, nowMs) > 0)
      throw new PenstockError('INGEST_RATE_EXCEEDED', 'links begin and end without end')
  }

  #lookAtServices(): void {
    if ((this.edge.ticks - this.#lookedAtTick) * tickMs < limits.amqpServiceLookMs) return
    this.#lookedAtTick = this.edge.ticks
    void this.#services?.lookAgain()
  }

  #hold(seat: Seat, waitMs: number): void {
    if (seat.isHeld) return
    seat.isHeld = true
    const release = (): void => {
      cancel()
      this.#releases?.delete(release)
      seat.isHeld = false
      if (!this.isClosed()) seat.grant()
    }
    const cancel = this.edge.clock.after(waitMs, release)
    this.#releases ??= new Set()
    this.#releases.add(release)
  }

  #flush(): void {
    if (this.#unwritten.length === 0 || this.isClosed()) return
    this.#wroteAtTick = this.edge.ticks
    const [first, ...more] = this.#unwritten.splice(0)
    if (first !== undefined) super.write(more.length === 0 ? first : Buffer.concat([first, ...more]))
  }

  /** Completes the kept frame from `chunk` and reads it; returns how much of the chunk that took. */
  #completePartial(chunk: Buffer): number {
    const partial = this.#partial
    if (this.#phase === 'saslDeciding') {
      // A message of WebSocket may have no bytes.
      if (chunk.length > 0) partial.append(chunk, 0, chunk.length)
      return chunk.length
    }
    const at = partial.complete(chunk, measureFrame, this)
    if (!partial.isWhole) return at
    const whole = partial.take()
    this.#readFrames(whole, 0, whole.length)
    partial.giveBack(whole)
    return at
  }
}

function notNow(what: string): PenstockError {
  return new PenstockError('INGEST_PROTOCOL_ERROR', what)
}
