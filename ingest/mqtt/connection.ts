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
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import {
  acceptingConnack,
  assignedClientId,
  type ConnectRequest,
  grantedKeepAliveSeconds,
  readConnect,
  UnsupportedVersion,
} from './connect.ts'
import { answerControlPacket } from './control-packets.ts'
import type { EdgeContext, Transport } from './edge-context.ts'
import { frameBytesOf } from './frame.ts'
import { type Identity, sessionIdOf } from './identity.ts'
import {
  disconnectPacket,
  type ProtocolVersion,
  pingResponse,
  refusingConnack,
  unsupportedVersionConnack,
} from './packets.ts'
import { PartialFrame } from './partial-frame.ts'
import { PublishReader } from './publish-reader.ts'
import { Unacknowledged } from './unacknowledged.ts'
import { Will } from './will.ts'

type State = 'waiting' | 'deciding' | 'open' | 'closed'

/** Why a connection is not read from; several may hold at once. */
export const pauseReasons = {
  /** The batcher is full [G-4]. */
  edge: 1,
  /** The client does not read what it is sent. */
  reader: 2,
} as const
type PauseReason = (typeof pauseReasons)[keyof typeof pauseReasons]

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
  #silenceSecondsMax = limits.connectDelayMsMax / 1000
  #heardAtSeconds: number
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

  constructor(edge: EdgeContext, transport: Transport) {
    this.#edge = edge
    this.#transport = transport
    this.#heardAtSeconds = edge.seconds
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

  /** Since anything was heard of an open connection; whole seconds. */
  get silentSeconds(): number {
    return this.#edge.seconds - this.#heardAtSeconds
  }

  /** Bytes as they came from the network; valid during the call only. Never throws. HOT: per chunk. */
  onChunk(chunk: Buffer): void {
    if (this.#state === 'closed') return
    // Before it is open its time counts from its start, whatever it says.
    if (this.#state === 'open') this.#heardAtSeconds = this.#edge.seconds
    this.#edge.batcher.tick()
    const { receivedQos0, receivedQos1 } = this.#edge.counters
    const before = receivedQos0.value + receivedQos1.value
    try {
      let at = 0
      if (this.#partial.length > 0) at = this.#completePartial(chunk)
      if (at < chunk.length) at = this.#readFrames(chunk, at, chunk.length)
      if (at < chunk.length && !this.#isClosed()) this.#keepPartial(chunk, at)
      if (this.#meter !== undefined) {
        const messages = receivedQos0.value + receivedQos1.value - before
        const waitMs = this.#meter.charge(messages, chunk.length, this.#edge.batcher.nowMs)
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

  /** Called every second. Ends the connection if it was silent for too long [MQTT-3.1.2-24] or its credentials expired. */
  onSecond(nowMs: number): void {
    if (nowMs >= this.#expiresAtMs) {
      this.fail(new PenstockError('INGEST_NOT_AUTHORIZED', 'the credentials of this connection have expired'))
      return
    }
    this.#meter?.report()
    // Not read, so not heard: a paused connection is not called silent.
    if (this.#pauses !== 0 || this.#shaping) this.#heardAtSeconds = this.#edge.seconds
    if (this.#edge.seconds - this.#heardAtSeconds <= this.#silenceSecondsMax) return
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

  /** The client said goodbye; with MQTT 5.0 it may still ask for its will (reason 0x04). */
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
    this.#forget(error.code)
    if (before === 'deciding' && error.code === 'INGEST_NOT_AUTHORIZED')
      this.#edge.quotas.attemptFailed(this.#transport.remoteAddress, this.#clientId)
    this.#edge.metrics.series('penstock_edge_connections_closed_total', { reason: error.code }).add(1)
    this.#edge.refusals.tell(error, this.#transport.remoteAddress)
    const farewell = this.#farewell(before, error)
    if (farewell) this.#transport.write(farewell)
    // Whoever never said a word is owed none, and in a flood must not stay until it closes by itself.
    if (before === 'waiting' && !farewell) this.#transport.destroy()
    else this.#transport.end()
    this.#publishWill()
  }

  #farewell(before: State, error: PenstockError): Uint8Array | undefined {
    if (before === 'open') return this.#version === 5 ? disconnectPacket(error, this.#packetBytesMax) : undefined
    if (error instanceof UnsupportedVersion) return unsupportedVersionConnack(error.level)
    // Before a CONNECT was understood, nothing says that the peer speaks MQTT at all.
    return before === 'deciding' || this.#version === 5 || error.code === 'INGEST_CONNECT_REFUSED'
      ? refusingConnack(this.#version, error, this.#packetBytesMax)
      : undefined
  }

  /** Reads whole frames and returns the position of the first byte that belongs to none. HOT: per frame. */
  #readFrames(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (end - at >= 2) {
      const first = bytes[at] as number
      let length = bytes[at + 1] as number
      let body = at + 2
      if (length > 0x7f || this.#state !== 'open') {
        const frameBytes = frameBytesOf(bytes, at, end, this.#state === 'waiting')
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
      if (message.refusal) this.send(message.refusal)
      if (message.packetId === 0) return
      this.#unacknowledged ??= new Unacknowledged()
      if (this.#unacknowledged.pushSettled(message.packetId)) this.settled(0)
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

  #connect(frame: Buffer): void {
    if ((frame[0] as number) >>> 4 !== 1) {
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'the first packet must be a CONNECT [MQTT-3.1.0-1]')
    }
    const levelAt = frame.indexOf('MQTT', 2, 'latin1') + 4
    if (levelAt > 4 && levelAt < 12 && frame[levelAt] === 5) this.#version = 5
    const request = readConnect(frame, (packetBytesMax) => {
      this.#packetBytesMax = packetBytesMax
    })
    this.#version = request.version
    this.#state = 'deciding'
    this.#clientId = request.clientId
    this.#edge.waiting.delete(this)
    const waitMs = this.#edge.quotas.connectWaitMs(this.#transport.remoteAddress, request.clientId)
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
    this.#heardAtSeconds = edge.seconds
    this.#silenceSecondsMax = grantedKeepAliveSeconds(request.keepAliveSeconds) * 1.5
    this.#state = 'open'
    this.send(connack)
  }

  /** A newer connection of the same client, here or at another edge process, ends this one [MQTT-3.1.4-2]. */
  takenOver(): void {
    this.fail(new PenstockError('INGEST_TAKE_OVER', 'a newer connection of this client took over'))
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
    this.#partial.keep(chunk, at, isDeciding ? 0 : frameBytesOf(chunk, at, chunk.length, this.#state === 'waiting'))
  }

  /** Completes the kept frame from `chunk` and reads it; returns how much of the chunk that took. */
  #completePartial(chunk: Buffer): number {
    const partial = this.#partial
    let at = 0
    while (at < chunk.length && partial.length > 0) {
      const isDeciding = this.#state === 'deciding'
      const frameBytes = isDeciding ? 0 : frameBytesOf(partial.bytes, 0, partial.length, this.#state === 'waiting')
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

function faultOf(error: unknown): PenstockError {
  return error instanceof PenstockError
    ? error
    : new PenstockError('INGEST_PROTOCOL_ERROR', String(error), { cause: error })
}
