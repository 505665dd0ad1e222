/**
 * One device of the generator: its socket, its ledger, and what it may send next.
 *
 *            connect                CONNACK 0              close, finish()
 *   waiting ─────────▶ connecting ─────────────▶ open ───────────────────▶ finished
 *      ▲                   │ refused, lost         │ lost
 *      └── backoff ────────┴───────────────────────┘   on the next CONNACK all unsettled messages go first, with DUP=1
 *
 * At most one write is under way, so a write buffer belongs to one connection from `socket.write` to its callback.
 */

import type { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { packetIds, SequenceLedger, type SequenceRange } from '#loadtest/ledger/ledger.ts'
import { type BackOff, pauseMs } from '#runtime/retry.ts'
import { telemetryPath } from '#schemas/hub-topics.ts'
import type { BodyVariants } from './body-template.ts'
import {
  type Account,
  type ConnectAnswer,
  connectAnswerOf,
  connectPacket,
  disconnect,
  pingRequest,
} from './control-packets.ts'
import type { DeviceSocket, SocketFactory } from './device-socket.ts'
import { FrameTemplate } from './frames.ts'
import { SendTimes } from './send-times.ts'

/** What all connections of one generator process share. */
export interface ConnectionShared {
  readonly sockets: SocketFactory
  readonly qos: 0 | 1
  readonly protocol: 4 | 5
  readonly bodyBytes: number
  /** Undefined: bodies only have a size. */
  readonly variants: BodyVariants | undefined
  /** Most unacknowledged messages a connection; below 65,535. */
  readonly window: number
  readonly acknowledged: LatencyHistogram
  /** From the moment of writing instead of the intended one; filled on a schedule only, saturating it would be the same. */
  readonly acknowledgedRaw: LatencyHistogram
  /** From the intended to the actual moment of sending: the generator's own lateness and the target's back-pressure. */
  readonly sendDelay: LatencyHistogram
  /** When a device's message was to be sent, UTC microseconds; undefined when saturating: then it is the moment of writing. */
  readonly intendedAtUs: ((deviceIndex: number, sequence: number) => number) | undefined
  readonly random: () => number
  readonly counters: ConnectionCounters
  takeBuffer(): Buffer
  giveBuffer(buffer: Buffer): void
  /** Asks for a call of `pump` in the next turn of the event loop. */
  pumpSoon(connection: DeviceConnection): void
  /** A connection was accepted for the first time. */
  onFirstOpen(): void
}

/** Who a device is and where it connects from. */
export interface DeviceIdentity {
  readonly deviceId: string
  /** Undefined: connects without proof. */
  readonly account: Account | undefined
  /** Undefined: the system's choice. */
  readonly localAddress: string | undefined
}

export interface ConnectionCounters {
  opened: number
  lost: number
  refused: number
  /** First connects that began later than `connectRate` asked. */
  connectedLate: number
  /** Last reason a target gave for a refusal or that a connection failed with. */
  lastFault: string
}

/** UTC now in microseconds with the resolution of the monotonic clock. */
export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1000
}

const reconnectBackOff: BackOff = { firstMs: 50, factor: 2, maxMs: 2_000, jitter: 0.5 }

type State = 'waiting' | 'connecting' | 'open' | 'finished'

export class DeviceConnection {
  readonly ledger = new SequenceLedger()
  /** Messages this device may send, from the first on; raised by the schedule. */
  due = 0
  /** New messages are over; what is in flight is still settled and sent again if it must. */
  isStopped = false
  /** Set by the pump queue that holds this connection. */
  isQueued = false
  readonly #identity: DeviceIdentity
  readonly #connectPacket: Buffer
  readonly #index: number
  readonly #shared: ConnectionShared
  readonly #template: FrameTemplate
  readonly #sendTimes = new SendTimes()
  #state: State = 'waiting'
  #socket: DeviceSocket | undefined
  #window: number
  #isWriting = false
  #hasOpened = false
  #attempts = 0
  #carry: Buffer | undefined
  #resend: SequenceRange[] = []
  #reconnect: NodeJS.Timeout | undefined

  constructor(identity: DeviceIdentity, index: number, shared: ConnectionShared) {
    const { deviceId } = identity
    this.#identity = identity
    this.#connectPacket = connectPacket(deviceId, shared.protocol, identity.account)
    this.#index = index
    this.#shared = shared
    this.#window = shared.qos === 1 ? shared.window : Number.POSITIVE_INFINITY
    const { qos, protocol, bodyBytes, variants, random } = shared
    const seed = Math.floor(random() * 2 ** 31)
    this.#template = new FrameTemplate({
      topic: `${telemetryPath(deviceId)}/`,
      qos,
      protocol,
      bodyBytes,
      seed,
      variants,
    })
  }

  get deviceId(): string {
    return this.#identity.deviceId
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** True if nothing more is to be written or awaited. */
  get isDrained(): boolean {
    const isSettled = this.#shared.qos === 0 || this.ledger.inFlight === 0
    return !this.#isWriting && this.#resend.length === 0 && isSettled
  }

  open(): void {
    const { sockets, counters } = this.#shared
    this.#state = 'connecting'
    this.#carry = undefined
    const socket: DeviceSocket = sockets.open(
      {
        onBytes: (bytes, count) => {
          if (this.#socket === socket) this.#onRead(bytes, count)
        },
        onFault: (fault) => {
          counters.lastFault = fault
        },
        onClose: () => this.#onClose(socket),
      },
      this.#identity.localAddress,
    )
    this.#socket = socket
    socket.write(this.#connectPacket)
  }

  /** Writes what is allowed now: due, within the window, one buffer full. */
  pump(): void {
    if (this.#state !== 'open' || this.#isWriting) return
    if (this.#resend.length > 0) {
      this.#writeResend()
      return
    }
    if (this.isStopped) return
    const { ledger } = this
    const { qos, intendedAtUs, sendDelay } = this.#shared
    const inFlight = qos === 1 ? ledger.sent - ledger.settledTo : 0
    const count = Math.min(this.due - ledger.sent, this.#window - inFlight)
    // Saturating, small gaps in the window are left to grow, so that writes stay large.
    if (
      count <= 0 ||
      (intendedAtUs === undefined && count < this.#window / 4 && inFlight > 0 && count < this.due - ledger.sent)
    )
      return
    const now = nowUs()
    const index = this.#index
    const first = ledger.sent
    const frames = this.#write(
      first,
      count,
      false,
      intendedAtUs ? (n) => Math.floor(intendedAtUs(index, n) / 1000) : Math.floor(now / 1000),
    )
    ledger.sent += frames
    if (intendedAtUs) sendDelay.add(now - intendedAtUs(index, first), frames)
    if (qos === 1) this.#sendTimes.push(ledger.sent, now)
  }

  /** Cuts the connection off without DISCONNECT, as a lost network does; it reconnects. */
  drop(): void {
    if (this.#state === 'open') this.#socket?.destroy()
  }

  /** Stops reading, or goes on: a connection that is lost meanwhile comes back reading. */
  setReading(isReading: boolean): void {
    if (this.#state !== 'open') return
    if (isReading) this.#socket?.resume()
    else this.#socket?.pause()
  }

  ping(): void {
    if (this.#state === 'open' && !this.#isWriting) this.#socket?.write(pingRequest)
  }

  /** True once the target has closed the connection, too: it has then read everything. */
  get isClosed(): boolean {
    return this.#state === 'finished' && this.#socket?.closed !== false
  }

  /** Ends the connection; in order (DISCONNECT) if it is open. */
  finish(): void {
    clearTimeout(this.#reconnect)
    const isOpen = this.#state === 'open'
    this.#state = 'finished'
    if (isOpen && !this.#isWriting) this.#socket?.end(disconnect)
    else this.#socket?.destroy()
  }

  #write(first: number, count: number, isResent: boolean, at: number | ((sequence: number) => number)): number {
    const buffer = this.#shared.takeBuffer()
    const frames = this.#template.fill(buffer, first, count, isResent, at)
    const socket = this.#socket
    this.#isWriting = true
    socket?.write(buffer.subarray(0, frames * this.#template.frameBytes), () => {
      this.#shared.giveBuffer(buffer)
      if (this.#socket !== socket) return
      this.#isWriting = false
      if (this.due > this.ledger.sent || this.#resend.length > 0) this.#shared.pumpSoon(this)
    })
    return frames
  }

  #writeResend(): void {
    const range = this.#resend[0]
    if (!range) return
    const { intendedAtUs } = this.#shared
    const at = intendedAtUs ? (n: number) => Math.floor(intendedAtUs(this.#index, n) / 1000) : Date.now()
    const frames = this.#write(range.from, range.to - range.from, true, at)
    this.ledger.noteResent({ from: range.from, to: range.from + frames })
    if (range.from + frames < range.to) this.#resend[0] = { from: range.from + frames, to: range.to }
    else this.#resend.shift()
  }

  /** HOT: paid per PUBACK: four bytes compared. `bytes` is shared by all sockets and valid during this call only. */
  #onRead(bytes: Buffer, bytesRead: number): void {
    const now = nowUs()
    const { ledger } = this
    let chunk = bytes
    let end = bytesRead
    let at = 0
    if (this.#carry) {
      chunk = Buffer.concat([this.#carry, bytes.subarray(0, bytesRead)])
      end = chunk.length
      this.#carry = undefined
    }
    while (at < end) {
      if (ledger.inOrder) {
        const countMax = ledger.sent - ledger.settledTo
        let id = (ledger.settledTo % packetIds) + 1
        let count = 0
        while (
          count < countMax &&
          at + 4 <= end &&
          chunk[at] === 0x40 &&
          chunk[at + 1] === 0x02 &&
          chunk[at + 2] === id >> 8 &&
          chunk[at + 3] === (id & 0xff)
        ) {
          id = id === packetIds ? 1 : id + 1
          count++
          at += 4
        }
        if (count > 0) {
          this.#addLatencies(ledger.settledTo, ledger.settledTo + count, now)
          ledger.settleInOrder(count)
          continue
        }
      }
      const next = this.#onePacket(chunk, at, end, now)
      if (next === at) {
        this.#carry = Buffer.from(chunk.subarray(at, end))
        break
      }
      at = next
    }
    this.pump()
  }

  #addLatencies(from: number, to: number, now: number): void {
    const { intendedAtUs, acknowledged, acknowledgedRaw } = this.#shared
    if (intendedAtUs) {
      for (let sequence = from; sequence < to; sequence++)
        acknowledged.add(now - intendedAtUs(this.#index, sequence), 1)
      this.#sendTimes.addLatencies(acknowledgedRaw, from, to, now)
    } else this.#sendTimes.addLatencies(acknowledged, from, to, now)
  }

  /** Any packet that is not the next PUBACK in order. @returns the position behind it, or `at` if it is incomplete */
  #onePacket(chunk: Buffer, at: number, end: number, now: number): number {
    let bodyAt = at + 1
    let length = 0
    for (let shift = 0; ; shift += 7) {
      if (bodyAt >= end) return at
      const byte = chunk[bodyAt++] ?? 0
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
      if (shift === 21) return this.#fail('a remaining length of more than four bytes', end)
    }
    const next = bodyAt + length
    if (next > end) return at
    const { ledger } = this
    switch ((chunk[at] ?? 0) >> 4) {
      case 2:
        this.#onConnectAnswer(connectAnswerOf(chunk.subarray(bodyAt, next), this.#shared.protocol))
        break
      case 4: {
        const before = ledger.settledTo
        ledger.settle(chunk.readUInt16BE(bodyAt), length > 2 && (chunk[bodyAt + 2] ?? 0) >= 0x80)
        this.#addLatencies(before, ledger.settledTo, now)
        break
      }
      case 13:
        break
      case 14:
        this.#shared.counters.lastFault = `DISCONNECT with reason code 0x${(chunk[bodyAt] ?? 0).toString(16)}`
        break
      default:
        return this.#fail(`packet type ${(chunk[at] ?? 0) >> 4} from the target`, end)
    }
    return next
  }

  #fail(fault: string, end: number): number {
    this.#shared.counters.lastFault = fault
    this.#socket?.destroy()
    return end
  }

  #onConnectAnswer({ code, receiveMaximum }: ConnectAnswer): void {
    const { counters, qos } = this.#shared
    if (code !== 0) {
      counters.refused++
      counters.lastFault = `CONNECT refused with code 0x${code.toString(16)}`
      this.#socket?.destroy()
      return
    }
    this.#state = 'open'
    if (qos === 1) this.#window = Math.min(this.#shared.window, receiveMaximum)
    this.#attempts = 0
    counters.opened++
    if (qos === 1) this.#resend = this.ledger.unsettled()
    if (!this.#hasOpened) this.#shared.onFirstOpen()
    this.#hasOpened = true
  }

  #onClose(socket: DeviceSocket): void {
    if (this.#socket !== socket || this.#state === 'finished') return
    if (this.#state === 'open') this.#shared.counters.lost++
    this.#state = 'waiting'
    this.#isWriting = false
    const delayMs = pauseMs(reconnectBackOff, this.#attempts++, this.#shared.random)
    this.#reconnect = setTimeout(() => this.open(), delayMs)
  }
}
