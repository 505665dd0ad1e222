/**
 * One device of the generator: its socket, its ledger, and what it may send next. How it speaks is its dialect's.
 *
 *            connect                accepted               close, finish()
 *   waiting ─────────▶ connecting ─────────────▶ open ───────────────────▶ finished
 *      ▲                   │ refused, lost         │ lost
 *      └── backoff ────────┴───────────────────────┘   once accepted again, all unsettled messages go first
 *
 * At most one write is under way, so a write buffer belongs to one connection from `socket.write` to its callback.
 */

import type { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { SequenceLedger, type SequenceRange } from '#loadtest/ledger/ledger.ts'
import { type BackOff, pauseMs } from '#runtime/retry.ts'
import type { DeviceIdentity } from './device-identities.ts'
import type { DeviceSocket, SocketHandlers } from './device-socket.ts'
import type { Dialect, DialectListener } from './dialect.ts'
import { SendTimes } from './send-times.ts'

/** What all connections of one generator process share. */
export interface ConnectionShared {
  readonly qos: 0 | 1
  /** Begins a connection. @param place of the device in its process, from 0 */
  open(identity: DeviceIdentity, place: number, handlers: SocketHandlers): DeviceSocket
  /** How a device speaks. */
  speak(identity: DeviceIdentity, place: number, ledger: SequenceLedger, listener: DialectListener): Dialect
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

export class DeviceConnection implements DialectListener {
  readonly ledger = new SequenceLedger()
  /** Messages this device may send, from the first on; raised by the schedule. */
  due = 0
  /** New messages are over; what is in flight is still settled and sent again if it must. */
  isStopped = false
  /** Set by the pump queue that holds this connection. */
  isQueued = false
  readonly #identity: DeviceIdentity
  readonly #index: number
  readonly #place: number
  readonly #shared: ConnectionShared
  readonly #dialect: Dialect
  readonly #sendTimes = new SendTimes()
  #state: State = 'waiting'
  #socket: DeviceSocket | undefined
  #isWriting = false
  #hasOpened = false
  #attempts = 0
  #carry: Buffer | undefined
  /** When what is being read came. */
  #readAtUs = 0
  #resend: SequenceRange[] = []
  #reconnect: NodeJS.Timeout | undefined

  /** @param index among all devices of the workload @param place among those of this process */
  constructor(identity: DeviceIdentity, index: number, place: number, shared: ConnectionShared) {
    this.#identity = identity
    this.#index = index
    this.#place = place
    this.#shared = shared
    this.#dialect = shared.speak(identity, place, this.ledger, this)
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
    const { counters } = this.#shared
    this.#state = 'connecting'
    this.#carry = undefined
    const socket: DeviceSocket = this.#shared.open(this.#identity, this.#place, {
      onBytes: (bytes, count) => {
        if (this.#socket === socket) this.#onRead(bytes, count)
      },
      onFault: (fault) => {
        counters.lastFault = fault
      },
      onClose: () => this.#onClose(socket),
    })
    this.#socket = socket
    socket.write(this.#dialect.begin())
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
    const dialect = this.#dialect
    const { qos, intendedAtUs, sendDelay } = this.#shared
    const inFlight = qos === 1 ? ledger.sent - ledger.settledTo : 0
    const count = Math.min(this.due - ledger.sent, dialect.room(inFlight))
    // Saturating, small gaps in the window are left to grow, so that writes stay large.
    if (
      count <= 0 ||
      (intendedAtUs === undefined && count < dialect.window / 4 && inFlight > 0 && count < this.due - ledger.sent)
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

  /** Cuts the connection off without a farewell, as a lost network does; it reconnects. */
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
    if (this.#state === 'open' && !this.#isWriting) this.#socket?.write(this.#dialect.ping)
  }

  /** True once the target has closed the connection, too: it has then read everything. */
  get isClosed(): boolean {
    return this.#state === 'finished' && this.#socket?.closed !== false
  }

  /** Ends the connection; in order if it is open. */
  finish(): void {
    clearTimeout(this.#reconnect)
    const isOpen = this.#state === 'open'
    this.#state = 'finished'
    if (isOpen && !this.#isWriting) this.#socket?.end(this.#dialect.goodbye)
    else this.#socket?.destroy()
  }

  #write(first: number, count: number, isResent: boolean, at: number | ((sequence: number) => number)): number {
    const buffer = this.#shared.takeBuffer()
    const frames = this.#dialect.fill(buffer, first, count, isResent, at)
    const socket = this.#socket
    this.#isWriting = true
    socket?.write(buffer.subarray(0, frames * this.#dialect.frameBytes), () => {
      this.#shared.giveBuffer(buffer)
      if (this.#socket !== socket) return
      this.#isWriting = false
      if (this.due > this.ledger.sent || this.#resend.length > 0) this.#shared.pumpSoon(this)
    })
    return frames
  }

  #writeResend(): void {
    const range = this.#resend[0]
    const room = this.#dialect.resendRoom()
    if (!range || room <= 0) return
    const { intendedAtUs } = this.#shared
    const at = intendedAtUs ? (n: number) => Math.floor(intendedAtUs(this.#index, n) / 1000) : Date.now()
    const frames = this.#write(range.from, Math.min(range.to - range.from, room), true, at)
    this.ledger.noteResent({ from: range.from, to: range.from + frames })
    if (range.from + frames < range.to) this.#resend[0] = { from: range.from + frames, to: range.to }
    else this.#resend.shift()
  }

  say(bytes: Buffer): void {
    this.#socket?.write(bytes)
  }

  onAccepted(): void {
    const { counters, qos, onFirstOpen } = this.#shared
    this.#state = 'open'
    this.#attempts = 0
    counters.opened++
    if (qos === 1) this.#resend = this.ledger.unsettled()
    if (!this.#hasOpened) onFirstOpen()
    this.#hasOpened = true
  }

  onRefused(fault: string): void {
    this.#shared.counters.refused++
    this.onEnd(fault)
  }

  onEnd(fault: string | undefined): void {
    if (fault !== undefined) this.#shared.counters.lastFault = fault
    this.#socket?.destroy()
  }

  /** HOT: per run of messages that are settled together. */
  onSettled(from: number, to: number): void {
    this.#addLatencies(from, to, this.#readAtUs)
  }

  /** `bytes` is shared by all sockets and valid during this call only. */
  #onRead(bytes: Buffer, bytesRead: number): void {
    this.#readAtUs = nowUs()
    let chunk = bytes
    let end = bytesRead
    if (this.#carry) {
      chunk = Buffer.concat([this.#carry, bytes.subarray(0, bytesRead)])
      end = chunk.length
      this.#carry = undefined
    }
    const at = this.#dialect.read(chunk, end)
    if (at < end) this.#carry = Buffer.from(chunk.subarray(at, end))
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

  #onClose(socket: DeviceSocket): void {
    if (this.#socket !== socket || this.#state === 'finished') return
    if (this.#state === 'open') this.#shared.counters.lost++
    this.#state = 'waiting'
    this.#isWriting = false
    const delayMs = pauseMs(reconnectBackOff, this.#attempts++, this.#shared.random)
    this.#reconnect = setTimeout(() => this.open(), delayMs)
  }
}
