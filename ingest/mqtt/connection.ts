/**
 * MQTT on one connection: frames, PUBLISH and its acknowledgement, CONNECT and its answer. What becomes of the connection otherwise is
 * `ingest/session/device-connection.ts`; what goes beyond the hot path is a file of its own beside this one.
 *
 *   chunk ─▶ frames ─▶ PUBLISH ─▶ route ─▶ batch ─▶ settled ─▶ PUBACK        `publish-reader.ts`, `unacknowledged.ts`
 *                 │        └──▶ refused, or a request ───────▶ PUBACK      `device-requests.ts`, `ingest/device-api/request-desk.ts`
 *                 ├─▶ CONNECT ─▶ decided ─▶ CONNACK                          `connect.ts`
 *                 └─▶ any other ─▶ answer                                    `control-packets.ts`
 *   deliveries ─▶ PUBLISH ─▶ PUBACK                                            `deliveries.ts`
 *
 * Frames are read in place from the chunk that arrived. Only a frame that a chunk cuts in two is copied, to `#partial`, and completed from
 * the next chunk.
 */
import type { BatchOwner, OpenBatch, SentOver } from '#ingest/batches/batch.ts'
import { RequestDesk } from '#ingest/device-api/request-desk.ts'
import { Admission } from '#ingest/session/admission.ts'
import type { ConnectionState } from '#ingest/session/connection.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import { DeviceConnection } from '#ingest/session/device-connection.ts'
import type { DeviceSession } from '#ingest/session/device-session.ts'
import { PartialFrame } from '#ingest/session/partial-frame.ts'
import type { Principal } from '#ingest/session/principal.ts'
import { SparkplugRoutes } from '#ingest/sparkplug/sparkplug-routes.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import {
  acceptingConnack,
  assignedClientId,
  type ConnectRequest,
  grantedKeepAliveSeconds,
  keptSecondsOf,
  readConnect,
} from './connect.ts'
import { answerControlPacket } from './control-packets.ts'
import { Deliveries, type DeliveryConnection } from './deliveries.ts'
import type { RequestTopic } from './device-requests.ts'
import { frameBytesOf } from './frame.ts'
import { farewell, type ProtocolVersion, pingResponse, reasonCodeOf } from './packets.ts'
import { PublishReader } from './publish-reader.ts'
import { Unacknowledged } from './unacknowledged.ts'
import { Will } from './will.ts'

export class MqttConnection extends DeviceConnection implements BatchOwner, DeliveryConnection {
  batch: OpenBatch | undefined = undefined
  batchIndex = 0
  #version: ProtocolVersion = 4
  /** Largest packet that the client takes. */
  #packetBytesMax = Number.MAX_SAFE_INTEGER
  #receiveMaximum = 0xffff
  /** As the client asked for at CONNECT. */
  #keptSeconds: number | undefined = 0
  /** It has no device yet, and takes that of its first message. */
  #isNameless = false
  #will: Will | undefined = undefined
  /**
   * These are made for the first message, the first request, the first delivery and the first frame that is cut in two: most of many
   * connections are idle, and what is not there is not looked at for each chunk.
   */
  #publishes: PublishReader | undefined = undefined
  #unacknowledged: Unacknowledged | undefined = undefined
  #requests: RequestDesk | undefined = undefined
  #deliveries: Deliveries | undefined = undefined
  #partial: PartialFrame | undefined = undefined
  /** Made at CONNECT where payloads of Sparkplug are decoded. */
  #sparkplug: SparkplugRoutes | undefined = undefined

  get protocol(): 'mqtt' {
    return 'mqtt'
  }

  get sentOver(): SentOver {
    return this.transport.isWebSocket ? 'websocket' : 'mqtt'
  }

  get version(): ProtocolVersion {
    return this.#version
  }

  get packetBytesMax(): number {
    return this.#packetBytesMax
  }

  get receiveMaximum(): number {
    return this.#receiveMaximum
  }

  get isBehind(): boolean {
    return this.transport.writeBytes > limits.socketWriteBytesMax
  }

  /** HOT: per batch and connection. */
  settled(count: number): void {
    if (this.state === 'closed') return
    assert(this.#unacknowledged !== undefined, 'who is owed an acknowledgement sent a message [G-1]')
    this.write(this.#unacknowledged.pubacks(count))
    this.edge.counters.acknowledged.add(count)
  }

  refused(_count: number, why: PenstockError): void {
    this.fail(why)
  }

  /** As `write`, of what a client with a small Maximum Packet Size may not take. @throws INGEST_FRAME_TOO_LARGE [MQTT-3.1.2-24] */
  writeWithin(packet: Buffer): void {
    if (packet.length > this.#packetBytesMax)
      throw new PenstockError(
        'INGEST_FRAME_TOO_LARGE',
        `an answer of ${packet.length} bytes, more than the client takes`,
      )
    this.write(packet)
  }

  writeDelivery(packet: Buffer): void {
    this.edge.counters.delivered.add(1)
    this.write(packet)
  }

  override send(delivery: Delivery): Promise<Outcome> {
    const qos = this.session?.qosOf(delivery.feed)
    if (this.state !== 'open') return Promise.resolve('gone')
    if (qos === undefined) return Promise.resolve('notSubscribed')
    this.#deliveries ??= new Deliveries(this, this.#heldSession)
    return this.#deliveries.send(delivery, qos)
  }

  override onDrained(): void {
    super.onDrained()
    this.#deliveries?.flush()
  }

  /** @returns false if it was never sent what it could acknowledge */
  acknowledged(packetId: number, isTaken: boolean): boolean {
    this.#deliveries?.acknowledged(packetId, isTaken)
    // Of a session that goes on, an earlier connection may have been sent it.
    return this.#deliveries !== undefined || this.#heldSession.isResumed
  }

  /**
   * The client sent DISCONNECT.
   * @param withWill its reason is not that all is well, so that its will is published
   * @param expiryInterval of its session, if it changes its mind (MQTT 5.0)
   */
  disconnected(withWill: boolean, expiryInterval?: number): void {
    if (expiryInterval !== undefined) this.#keepFor(expiryInterval)
    if (!withWill) this.#will = undefined
    this.endByClient()
  }

  /** HOT: per chunk. */
  protected read(chunk: Buffer): void {
    let at = 0
    if (this.#partial !== undefined && this.#partial.length > 0) at = this.#completePartial(chunk, this.#partial)
    if (at < chunk.length) at = this.#readFrames(chunk, at, chunk.length)
    if (at < chunk.length && !this.isClosed()) this.#keepPartial(chunk, at)
  }

  protected override charge(messages: number, bytes: number): number {
    return super.charge(messages, bytes + (this.#sparkplug?.takeGrownBytes() ?? 0))
  }

  protected readKept(): void {
    if (this.#partial !== undefined && this.#partial.length > 0) this.onChunk(this.#partial.take())
  }

  protected farewell(ended: ConnectionState, error: PenstockError): Buffer | undefined {
    return farewell(ended, this.#version, error, this.#packetBytesMax)
  }

  protected onEnded(): void {
    this.#partial?.forget()
    this.#deliveries?.end()
    const will = this.#will
    this.#will = undefined
    will?.publish()
    this.#sparkplug?.close()
  }

  /** Reads whole frames and returns the position of the first byte that belongs to none. HOT: per frame. */
  #readFrames(bytes: Buffer, start: number, end: number): number {
    let at = start
    while (end - at >= 2) {
      const first = bytes[at] as number
      let length = bytes[at + 1] as number
      let body = at + 2
      if (length > 0x7f || this.state !== 'open') {
        const frameBytes = frameBytesOf(bytes, at, end, this.#frameVersion)
        if (frameBytes === 0) break
        if (at + frameBytes > end) break
        while ((bytes[body - 1] as number) > 0x7f) body++
        length = at + frameBytes - body
      }
      const frameEnd = body + length
      if (frameEnd > end) break
      if (this.state === 'open') {
        if (first >>> 4 === 3) this.#publish(first, bytes, body, frameEnd)
        else if (first === 0xc0 && length === 0) this.write(pingResponse)
        else answerControlPacket(this, this.#heldSession, bytes.subarray(at, frameEnd))
      } else if (this.state === 'waiting') this.#connect(bytes.subarray(at, frameEnd))
      else if (this.state === 'deciding') break
      else return end
      at = frameEnd
    }
    return this.isClosed() ? end : at
  }

  /** HOT: per PUBLISH. */
  #publish(first: number, bytes: Buffer, start: number, end: number): void {
    const message = this.#publishes ?? this.#beginPublishes()
    const read = message.read(first, bytes, start, end)
    if (read === undefined) {
      this.#notStored(message, bytes, end)
      return
    }
    if (this.#isNameless) this.#adopt(read.deviceId)
    const { route } = read
    if (message.packetId === 0) {
      route.partition.write(route.frame, bytes, message.bodyStart, end, undefined)
      this.edge.counters.receivedQos0.value++
      return
    }
    this.#unacknowledged ??= new Unacknowledged()
    this.#unacknowledged.push(message.packetId)
    route.partition.write(route.frame, bytes, message.bodyStart, end, this)
    this.edge.counters.receivedQos1.value++
  }

  #beginPublishes(): PublishReader {
    this.#publishes = new PublishReader(this.edge.batcher, this.#heldSession, this.#version, this.#sparkplug)
    return this.#publishes
  }

  /** A request is taken to be answered; a message is refused with the reason in its PUBACK. */
  #notStored({ request, packetId, bodyStart }: PublishReader, bytes: Buffer, end: number): void {
    assert(request !== undefined, 'what has no route is a request, or refused')
    this.edge.unstoredMessages++
    let reasonCode = 0
    if (request instanceof PenstockError) {
      reasonCode = reasonCodeOf(request.code)
      this.edge.metrics.series('penstock_edge_messages_refused_total', { reason: request.code }).add(1)
      this.edge.refusals.tell(request, this.transport.remoteAddress, 'message')
    } else this.#take(request, bytes.subarray(bodyStart, end))
    // Taking it may have ended the connection.
    if (packetId === 0 || this.isClosed()) return
    this.#unacknowledged ??= new Unacknowledged()
    if (this.#unacknowledged.pushSettled(packetId, reasonCode)) this.settled(0)
  }

  #take(request: RequestTopic, body: Buffer): void {
    this.#requests ??= new RequestDesk(this.edge, this.#heldSession)
    this.#requests.take({ ...request, body: Buffer.from(body) })
  }

  /** What was not to be kept at CONNECT cannot be later (MQTT 5.0 section 3.14.2.2.2). */
  #keepFor(expiryInterval: number): void {
    if (this.#keptSeconds === 0 && expiryInterval !== 0)
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'a session that was not to be kept at CONNECT')
    this.#heldSession.keepFor(keptSecondsOf(expiryInterval))
  }

  #adopt(deviceId: string): void {
    this.#isNameless = false
    this.#heldSession.adopt(deviceId)
  }

  #connect(frame: Buffer): void {
    if ((frame[0] as number) >>> 4 !== 1) {
      throw new PenstockError('INGEST_PROTOCOL_ERROR', 'the first packet must be a CONNECT [MQTT-3.1.0-1]')
    }
    this.edge.batcher.stayAwake()
    const request = readConnect(frame, (version, packetBytesMax) => {
      this.#version = version
      this.#packetBytesMax = packetBytesMax
    })
    const admission = new Admission(this.edge, this.transport, request)
    this.decide(admission, (principal) => this.#accept(request, admission, principal))
  }

  #accept(request: ConnectRequest, admission: Admission, principal: Principal): void {
    const session = admission.open(principal, this)
    assert(this.session === undefined, 'a connection carries one session')
    this.session = session
    this.#receiveMaximum = request.receiveMaximum
    this.#isNameless = session.deviceId === undefined && session.registrant === undefined
    const assignedId = request.clientId === '' ? assignedClientId() : undefined
    const connack = acceptingConnack(request, assignedId, session)
    const { sparkplugNames } = this.edge
    if (sparkplugNames !== undefined)
      this.#sparkplug = new SparkplugRoutes(this.edge, sparkplugNames, this.transport.remoteAddress)
    if (request.will) this.#will = new Will(this.edge, request.will, session, this.#sparkplug)
    session.hold(principal, assignedId ?? request.clientId)
    this.open(grantedKeepAliveSeconds(request.keepAliveSeconds) * 1500)
    this.#keptSeconds = request.keptSeconds
    this.write(connack)
    session.beginKept(request.resumes, request.keptSeconds)
  }

  get #heldSession(): DeviceSession {
    assert(this.session !== undefined, 'an open connection has a session')
    return this.session
  }

  get #frameVersion(): ProtocolVersion | undefined {
    return this.state === 'waiting' ? undefined : this.#version
  }

  #keepPartial(chunk: Buffer, at: number): void {
    const isDeciding = this.state === 'deciding'
    this.#partial ??= new PartialFrame(limits.packetBytesMax + 5)
    this.#partial.keep(chunk, at, isDeciding ? 0 : frameBytesOf(chunk, at, chunk.length, this.#frameVersion))
  }

  /** Completes the kept frame from `chunk` and reads it; returns how much of the chunk that took. */
  #completePartial(chunk: Buffer, partial: PartialFrame): number {
    if (this.state === 'deciding') {
      // Everything waits, whatever it is.
      partial.append(chunk, 0, chunk.length)
      return chunk.length
    }
    const at = partial.complete(chunk, frameBytesOf, this.#frameVersion)
    if (!partial.isWhole) return at
    const frame = partial.take()
    const isConnect = this.state === 'waiting'
    this.#readFrames(frame, 0, frame.length)
    // What a CONNECT says is looked at later; of all others nothing is kept.
    if (!isConnect) partial.giveBack(frame)
    return this.isClosed() ? chunk.length : at
  }
}
