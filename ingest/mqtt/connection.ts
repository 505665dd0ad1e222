/**
 * One device connection, whatever carries its bytes.
 *
 *   waiting ── CONNECT ──▶ deciding ── CONNACK ──▶ open ── DISCONNECT ──▶ closed
 *      │                      │                     │
 *      └── error, time-out ───┴── refused ──────────┴── error, take-over, silence: will message, reason, closed
 *
 * Frames are read in place from the chunk that arrived. Only a frame that a chunk cuts in two is copied, to `#partial`, and
 * completed from the next chunk. Errors are thrown as `PenstockError` and end the connection in one place, `fail`.
 */
import type { BatchOwner, OpenBatch } from '#ingest/batches/batch.ts'
import type { Meter } from '#ingest/quotas/quotas.ts'
import { type EdgeContext, type Transport, tickMs } from '#ingest/session/edge-context.ts'
import { faultOf } from '#ingest/session/fault.ts'
import { type Identity, sessionIdOf } from '#ingest/session/identity.ts'
import { type PauseReason, pauseReasons } from '#ingest/session/pause-reasons.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import {
  acceptingConnack,
  assignedClientId,
  type ConnectRequest,
  grantedKeepAliveSeconds,
  readConnect,
} from './connect.ts'
import { answerControlPacket } from './control-packets.ts'
import { frameBytesOf } from './frame.ts'
import { farewell, type ProtocolVersion, pingResponse, reasonCodeOf } from './packets.ts'
import { PartialFrame } from './partial-frame.ts'
import { PublishReader } from './publish-reader.ts'
import { Unacknowledged } from './unacknowledged.ts'
import { Will } from './will.ts'

type State = 'waiting' | 'deciding' | 'open' | 'closed'

export class Connection implements BatchOwner {
  batch: OpenBatch | undefined = undefined
  batchIndex = 0
  /** When the CONNECT was accepted, by the monotonic clock. */
  openedAtMs = 0

  readonly #edge: EdgeContext
  readonly #transport: Transport
  #state: State = 'waiting'
  #version: ProtocolVersion = 4
  #sessionId = ''
  /** Of the identity, or of an anonymous client's first topic. */
  #deviceId: string | undefined = undefined
  #moduleId: string | undefined = undefined
  #expiresAtMs = Number.POSITIVE_INFINITY
  #packetBytesMax = Number.MAX_SAFE_INTEGER
  #silenceTicksMax = limits.connectDelayMsMax / tickMs
  #heardAtTick: number
  #endWatch: (() => void) | undefined = undefined
  #will: Will | undefined = undefined
  #publishes: PublishReader | undefined = undefined
  #unacknowledged: Unacknowledged | undefined = undefined
  readonly #partial = new PartialFrame()
  #pauses = 0
  #meter: Meter | undefined = undefined
  /** Set while the connection waits for a quota: cancels the wait. */
  #shaping: (() => void) | undefined = undefined
  /** As the CONNECT gave it. */
  #clientId = ''
  #isWhereOthersFail = false

  constructor(edge: EdgeContext, transport: Transport) {
    this.#edge = edge
    this.#transport = transport
    this.#heardAtTick = edge.ticks
    edge.connections.add(this)
    edge.waiting.add(this)
    edge.counters.connections.add(1)
    edge.counters.opened.add(1)
    if (edge.batcher.full) this.pause(pauseReasons.edge)
  }

  get version(): ProtocolVersion {
    return this.#version
  }

  get deviceId(): string | undefined {
    return this.#deviceId
  }

  get moduleId(): string | undefined {
    return this.#moduleId
  }

  /** Since anything was heard of an open connection; a tick more or less. */
  get silentMs(): number {
    return (this.#edge.ticks - this.#heardAtTick) * tickMs
  }

  /** Bytes as they came from the network; valid during the call only. Never throws. HOT: per chunk. */
  onChunk(chunk: Buffer): void {
    if (this.#state === 'closed') return
    // Before it is open its time counts from its start, whatever it says.
    if (this.#state === 'open') this.#heardAtTick = this.#edge.ticks
    this.#edge.batcher.tick()
    const before = this.#messagesOfAll
    try {
      let at = 0
      if (this.#partial.length > 0) at = this.#completePartial(chunk)
      if (at < chunk.length) at = this.#readFrames(chunk, at, chunk.length)
      if (at < chunk.length && !this.#isClosed()) this.#keepPartial(chunk, at)
      if (this.#meter !== undefined) {
        const waitMs = this.#meter.charge(this.#messagesOfAll - before, chunk.length, this.#edge.batcher.nowMs)
        if (waitMs > 0 && !this.#isClosed()) this.#waitForQuota(waitMs, () => this.#resumeIfFree())
      }
    } catch (error) {
      this.fail(faultOf(error))
    }
  }

  /** The byte stream ended without the edge asking for it. */
  onClosed(): void {
    if (this.#state === 'closed') return
    this.#forget('CLOSED_BY_PEER')
    this.#publishWill()
  }

  /** The network took what had been written: a slow reader is read from again. */
  onDrained(): void {
    if ((this.#pauses & pauseReasons.reader) !== 0) this.unpause(pauseReasons.reader)
  }

  /** Stops reading. */
  pause(reason: PauseReason): void {
    if (this.#state === 'closed') return
    this.#pauses |= reason
    this.#transport.pause()
  }

  /** Reads on, if no other reason holds. */
  unpause(reason: PauseReason): void {
    if (this.#state === 'closed') return
    this.#pauses &= ~reason
    this.#resumeIfFree()
  }

  /** Called every second. Ends the connection if it was silent for too long [MQTT-3.1.2-22] or its credentials expired. */
  onSecond(nowMs: number): void {
    if (nowMs >= this.#expiresAtMs) {
      this.fail(new PenstockError('INGEST_NOT_AUTHORIZED', 'the credentials of this connection have expired'))
      return
    }
    this.#meter?.report()
    // Not read, so not heard: a paused connection is not called silent.
    if (this.#pauses !== 0 || this.#shaping) this.#heardAtTick = this.#edge.ticks
    // What is heard in a tick may come at its end: only the ticks between were silent for sure.
    if (this.#edge.ticks - this.#heardAtTick - 1 < this.#silenceTicksMax) return
    this.fail(
      this.#state === 'open'
        ? new PenstockError('INGEST_KEEP_ALIVE_TIMEOUT', 'nothing was heard for one and a half keep-alive intervals')
        : new PenstockError('INGEST_CONNECT_TIMEOUT', `no CONNECT within ${limits.connectDelayMsMax} ms`),
    )
  }

  settled(count: number): void {
    if (this.#unacknowledged === undefined || this.#state === 'closed') return
    this.send(this.#unacknowledged.pubacks(count))
    this.#edge.counters.acknowledged.add(count)
  }

  refused(): void {
    this.fail(new PenstockError('INGEST_MESSAGE_REFUSED', 'the log refused a batch; its messages were not stored'))
  }

  send(bytes: Uint8Array): void {
    this.#transport.write(bytes)
    const isBehind = this.#transport.writeBytes > limits.socketWriteBytesMax
    if (isBehind && (this.#pauses & pauseReasons.reader) === 0) this.pause(pauseReasons.reader)
  }

  /** As `send`, of what a client with a small Maximum Packet Size may not take. @throws INGEST_FRAME_TOO_LARGE [MQTT-3.1.2-24] */
  sendWithin(packet: Buffer): void {
    if (packet.length > this.#packetBytesMax)
      throw new PenstockError(
        'INGEST_FRAME_TOO_LARGE',
        `an answer of ${packet.length} bytes, more than the client takes`,
      )
    this.send(packet)
  }

  /** The client said goodbye. @param withWill its reason is not that all is well, so that its will is published */
  disconnectByClient(withWill: boolean): void {
    if (!withWill) this.#will = undefined
    this.#forget('CLOSED_BY_CLIENT')
    this.#transport.end()
    this.#publishWill()
  }

  /** Ends the connection for `error`: counted, told to the client as its version allows, will message published. */
  fail(error: PenstockError): void {
    if (this.#state === 'closed') return
    const before = this.#state
    if (before === 'deciding' && error.code === 'INGEST_NOT_AUTHORIZED')
      error = this.#edge.quotas.attemptFailed(this.#transport.remoteAddress, this.#clientId) ?? error
    this.#forget(error.code)
    this.#edge.metrics.series('penstock_edge_connections_closed_total', { reason: error.code }).add(1)
    this.#edge.refusals.tell(error, this.#transport.remoteAddress)
    const lastWords = farewell(before, this.#version, error, this.#packetBytesMax)
    if (lastWords) this.#transport.write(lastWords)
    // Whoever never said a word is owed none, and in a flood must not stay until it closes by itself.
    if (before === 'waiting' && !lastWords) this.#transport.destroy()
    else this.#transport.end()
    this.#publishWill()
  }

  /** Reads whole frames and returns the position of the first byte that belongs to none. HOT: per frame. */
  #readFrames(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (end - at >= 2) {
      const first = bytes[at] as number
      let length = bytes[at + 1] as number
      let body = at + 2
      if (length > 0x7f || this.#state !== 'open') {
        const frameBytes = frameBytesOf(bytes, at, end, this.#frameVersion)
        if (frameBytes === 0) break
        if (at + frameBytes > end) break
        while ((bytes[body - 1] as number) > 0x7f) body++
        length = at + frameBytes - body
      }
      const frameEnd = body + length
      if (frameEnd > end) break
      if (this.#state === 'open') {
        if (first >>> 4 === 3) this.#publish(first, bytes, body, frameEnd)
        else if (first === 0xc0 && length === 0) this.send(pingResponse)
        else answerControlPacket(this, bytes.subarray(at, frameEnd))
      } else if (this.#state === 'waiting') this.#connect(bytes.subarray(at, frameEnd))
      else if (this.#state === 'deciding') break
      else return end
      at = frameEnd
    }
    return this.#isClosed() ? end : at
  }

  /** HOT: per PUBLISH. */
  #publish(first: number, bytes: Buffer, start: number, end: number): void {
    this.#publishes ??= new PublishReader(this.#edge.batcher, this)
    const message = this.#publishes
    const route = message.read(first, bytes, start, end)
    if (route === undefined) {
      this.#refuse(message)
      return
    }
    this.#deviceId ??= route.deviceId
    if (message.packetId === 0) {
      route.partition.write(route.frame, bytes, message.bodyStart, end, undefined)
      this.#edge.counters.receivedQos0.value++
      return
    }
    this.#unacknowledged ??= new Unacknowledged()
    this.#unacknowledged.push(message.packetId)
    route.partition.write(route.frame, bytes, message.bodyStart, end, this)
    this.#edge.counters.receivedQos1.value++
  }

  /** What is not stored is answered: a request with a packet of its own, a message with the reason in its PUBACK. */
  #refuse({ refusal, packetId }: PublishReader): void {
    this.#edge.refusedMessages++
    let reasonCode = 0
    if (refusal instanceof PenstockError) {
      reasonCode = reasonCodeOf(refusal.code)
      this.#edge.metrics.series('penstock_edge_messages_refused_total', { reason: refusal.code }).add(1)
      this.#edge.refusals.tell(refusal, this.#transport.remoteAddress, 'message')
    } else if (refusal) this.send(refusal)
    if (packetId === 0) return
    this.#unacknowledged ??= new Unacknowledged()
    if (this.#unacknowledged.pushSettled(packetId, reasonCode)) this.settled(0)
  }

  #connect(frame: Buffer): void {
    if ((frame[0] as number) >>> 4 !== 1) {
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'the first packet must be a CONNECT [MQTT-3.1.0-1]')
    }
    this.#edge.batcher.stayAwake()
    const request = readConnect(frame, (version, packetBytesMax) => {
      this.#version = version
      this.#packetBytesMax = packetBytesMax
    })
    this.#state = 'deciding'
    this.#clientId = request.clientId
    this.#edge.waiting.delete(this)
    const { quotas, isKnown } = this.#edge
    const lookupMs = quotas.lookupWaitMs(this.#transport.remoteAddress, request.clientId, isKnown)
    this.#isWhereOthersFail = lookupMs !== undefined
    const waitMs = lookupMs ?? quotas.connectWaitMs()
    if (waitMs === 0) this.#identify(request, false)
    else this.#waitForQuota(waitMs, () => this.#identify(request, true))
  }

  /** @param held true if the transport stands still and what came behind the CONNECT waits */
  #identify(request: ConnectRequest, held: boolean): void {
    const identity = this.#edge.authenticate({
      clientId: request.clientId,
      username: request.username,
      password: request.password,
      certificates: this.#transport.certificates(),
      confidential: this.#transport.confidential,
    })
    if (!(identity instanceof Promise)) {
      if (held) this.#acceptLater(request, identity)
      else this.#accept(request, identity)
      return
    }
    this.#transport.pause()
    identity.then(
      (decided) => this.#acceptLater(request, decided),
      (error) =>
        this.fail(
          error instanceof PenstockError
            ? error
            : new PenstockError('INGEST_NOT_AUTHORIZED', 'identity unknown', { cause: error }),
        ),
    )
  }

  #acceptLater(request: ConnectRequest, identity: Identity): void {
    if (this.#isClosed()) return
    try {
      this.#accept(request, identity)
    } catch (error) {
      this.fail(faultOf(error))
      return
    }
    if (this.#partial.length > 0) this.onChunk(this.#partial.take())
    this.#resumeIfFree()
  }

  #accept(request: ConnectRequest, identity: Identity): void {
    const edge = this.#edge
    if (edge.draining) throw new PenstockError('INGEST_DRAINING', 'the edge is shutting down')
    if (edge.connections.size - edge.waiting.size > edge.connectionsMax) {
      throw new PenstockError('INGEST_CONNECTIONS_FULL', `this edge holds its ${edge.connectionsMax} connections`)
    }
    this.#meter = edge.quotas.openMeter(identity.deviceId)
    if (this.#isWhereOthersFail) edge.quotas.connectionTaken()
    this.#deviceId = identity.deviceId
    this.#moduleId = identity.moduleId
    this.#expiresAtMs = identity.expiresAtMs ?? Number.POSITIVE_INFINITY
    this.#endWatch = identity.watch?.((error) => this.fail(error))
    const assignedId = request.clientId === '' ? assignedClientId() : undefined
    const connack = acceptingConnack(request, assignedId)
    if (request.will) this.#will = new Will(edge, request.will, this)
    this.#sessionId = sessionIdOf(identity) ?? assignedId ?? request.clientId
    this.openedAtMs = edge.clock.monotonicMs()
    edge.sessions.get(this.#sessionId)?.takenOver()
    edge.sessions.set(this.#sessionId, this)
    if (identity.deviceId !== undefined) {
      edge.announce(this.#sessionId, this.openedAtMs)
      edge.onPresence(identity.deviceId, identity.moduleId, true, 'CONNECTED')
    }
    this.#heardAtTick = edge.ticks
    this.#silenceTicksMax = (grantedKeepAliveSeconds(request.keepAliveSeconds) * 1500) / tickMs
    this.#state = 'open'
    this.send(connack)
  }

  /** A newer connection of the same client, here or at another edge process, ends this one [MQTT-3.1.4-2]. */
  takenOver(): void {
    this.fail(new PenstockError('INGEST_TAKE_OVER', 'a newer connection of this client took over'))
  }

  /** Read before and after a chunk: what comes between is its sender's. */
  get #messagesOfAll(): number {
    const { counters, refusedMessages } = this.#edge
    return counters.receivedQos0.value + counters.receivedQos1.value + refusedMessages
  }

  get #frameVersion(): ProtocolVersion | undefined {
    return this.#state === 'waiting' ? undefined : this.#version
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }

  /** @param reason error code, or who closed */
  #forget(reason: string): void {
    this.#state = 'closed'
    this.#endWatch?.()
    this.#meter?.close()
    this.#shaping?.()
    this.#shaping = undefined
    this.#edge.waiting.delete(this)
    this.#partial.forget()
    this.#edge.connections.delete(this)
    this.#edge.counters.connections.add(-1)
    if (this.#edge.sessions.get(this.#sessionId) !== this) return
    this.#edge.sessions.delete(this.#sessionId)
    if (this.#deviceId !== undefined) this.#edge.onPresence(this.#deviceId, this.#moduleId, false, reason)
  }

  #publishWill(): void {
    const will = this.#will
    this.#will = undefined
    will?.publish()
  }

  /** Reads nothing for `waitMs`, then calls `go`. */
  #waitForQuota(waitMs: number, go: () => void): void {
    this.#shaping?.()
    this.#transport.pause()
    this.#shaping = this.#edge.clock.after(waitMs, () => {
      this.#shaping = undefined
      try {
        go()
      } catch (error) {
        this.fail(faultOf(error))
      }
    })
  }

  #resumeIfFree(): void {
    if (this.#pauses === 0 && !this.#shaping && this.#state !== 'deciding') this.#transport.resume()
  }

  #keepPartial(chunk: Buffer, at: number): void {
    const isDeciding = this.#state === 'deciding'
    this.#partial.keep(chunk, at, isDeciding ? 0 : frameBytesOf(chunk, at, chunk.length, this.#frameVersion))
  }

  /** Completes the kept frame from `chunk` and reads it; returns how much of the chunk that took. */
  #completePartial(chunk: Buffer): number {
    const partial = this.#partial
    let at = 0
    while (at < chunk.length && partial.length > 0) {
      const isDeciding = this.#state === 'deciding'
      const frameBytes = isDeciding ? 0 : frameBytesOf(partial.bytes, 0, partial.length, this.#frameVersion)
      // While the length is not known yet, one byte more may tell it; while deciding, everything just waits.
      const missing = isDeciding ? chunk.length : frameBytes === 0 ? 1 : frameBytes - partial.length
      const taken = Math.min(missing, chunk.length - at)
      partial.append(chunk, at, taken)
      at += taken
      if (frameBytes === 0 || partial.length < frameBytes) continue
      const frame = partial.take()
      const isConnect = this.#state === 'waiting'
      this.#readFrames(frame, 0, frameBytes)
      // What a CONNECT says is looked at later; of all others nothing is kept.
      if (!isConnect) partial.giveBack(frame)
      return this.#isClosed() ? chunk.length : at
    }
    return at
  }
}
