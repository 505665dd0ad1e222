/**
 * One client's connection, whatever it speaks. A class derived from this one reads its protocol. The two are one
 * object, so that a message costs no step more than it would in one class.
 *
 *   waiting ── says who it is ──▶ deciding ── is let in ──▶ open ── says goodbye ──▶ closed
 *      │                             │                       │
 *      └── error, time-out ──────────┴── refused ────────────┴── error, take-over, silence: reason told, closed
 *
 * A fault is thrown as `PenstockError`, and ends the connection in one place, `fail`.
 *
 * It is not read from while any reason to pause holds, while it waits for a quota, and while it is decided on.
 */
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type EdgeConnection, type EdgeContext, tickMs } from './edge-context.ts'
import { faultOf } from './fault.ts'
import { type PauseReason, pauseReasons } from './pause-reasons.ts'
import type { Receiver, Transport } from './transport.ts'

export type ConnectionState = 'waiting' | 'deciding' | 'open' | 'closed'

export abstract class Connection implements EdgeConnection, Receiver {
  protected readonly edge: EdgeContext
  protected readonly transport: Transport
  protected state: ConnectionState = 'waiting'
  #heardAtTick: number
  #unreadUntilTick = 0
  #silenceTicksMax = limits.connectDelayMsMax / tickMs
  /** Reasons to pause that hold. */
  #pauses = 0
  /** Set while the connection waits for a quota: cancels the wait. */
  #shaping: (() => void) | undefined = undefined

  constructor(edge: EdgeContext, transport: Transport) {
    this.edge = edge
    this.transport = transport
    this.#heardAtTick = edge.ticks
    edge.connections.add(this)
    edge.waiting.add(this)
    edge.counters.connections.add(1)
    edge.counters.opened.add(1)
    if (edge.batcher.full) this.pause(pauseReasons.edge)
  }

  /** Reads a chunk in any state but closed. What it keeps of it, it copies. @throws PenstockError, which ends the connection */
  protected abstract read(chunk: Buffer): void

  /** Charges a chunk to its sender. @returns milliseconds until it is read from again. HOT: per chunk. @throws INGEST_RATE_EXCEEDED */
  protected abstract charge(messages: number, bytes: number): number

  /** Called every second: ends what has expired, and tells how much was sent. */
  protected abstract lookAfterSessions(nowMs: number): void

  /** Called once, as soon as nothing more is read. @param reason error code, or who closed */
  protected abstract endSessions(reason: string): void

  /** The last bytes for the client; `undefined`: it is told nothing. @param ended the state that ends */
  protected abstract farewell(ended: ConnectionState, error: PenstockError): Uint8Array | undefined

  /** Called once, when all else about the end is done. */
  protected abstract onEnded(): void

  /** Since anything was heard of an open connection; a tick more or less. */
  get silentMs(): number {
    return (this.edge.ticks - this.#heardAtTick) * tickMs
  }

  /** Bytes as they came from the network; valid during the call only. Never throws. HOT: per chunk. */
  onChunk(chunk: Buffer): void {
    const { edge } = this
    if (this.state === 'closed') return
    // Before it is open its time counts from its start, whatever it says.
    if (this.state === 'open') this.#heardAtTick = edge.ticks
    edge.batcher.tick()
    const before = messagesOf(edge)
    try {
      this.read(chunk)
      const waitMs = this.charge(messagesOf(edge) - before, chunk.length)
      if (waitMs > 0 && !this.isClosed()) this.waitForQuota(waitMs, () => this.resumeIfFree())
    } catch (error) {
      this.fail(faultOf(error))
    }
  }

  onClosed(): void {
    if (this.state === 'closed') return
    this.#forget('CLOSED_BY_PEER')
    this.onEnded()
  }

  /** The network took what had been written: a slow reader is read from again. */
  onDrained(): void {
    if ((this.#pauses & pauseReasons.reader) !== 0) this.unpause(pauseReasons.reader)
  }

  pause(reason: PauseReason): void {
    if (this.state === 'closed') return
    this.#pauses |= reason
    this.transport.pause()
  }

  unpause(reason: PauseReason): void {
    if (this.state === 'closed') return
    this.#pauses &= ~reason
    this.resumeIfFree()
  }

  /** Ends what has expired, and a connection that was silent for too long [MQTT-3.1.2-22]. */
  onSecond(nowMs: number): void {
    this.lookAfterSessions(nowMs)
    if (this.isClosed()) return
    // What is not read is not heard: a paused connection is not called silent.
    if (this.#pauses !== 0 || this.#shaping) this.#unreadUntilTick = this.edge.ticks
    const silentFromTick = Math.max(this.#heardAtTick, this.#unreadUntilTick)
    // What is heard in a tick may come at its end: only the ticks between were silent for sure.
    if (this.edge.ticks - silentFromTick - 1 < this.#silenceTicksMax) return
    this.fail(
      this.state === 'open'
        ? new PenstockError('INGEST_KEEP_ALIVE_TIMEOUT', 'nothing was heard for one and a half keep-alive intervals')
        : new PenstockError('INGEST_CONNECT_TIMEOUT', `no CONNECT within ${limits.connectDelayMsMax} ms`),
    )
  }

  /** Ends the connection for `error`: counted, and told to the client as its protocol allows. */
  fail(error: PenstockError): void {
    const ended = this.state
    if (ended === 'closed') return
    this.#forget(error.code)
    this.edge.metrics.series('penstock_edge_connections_closed_total', { reason: error.code }).add(1)
    this.edge.refusals.tell(error, this.transport.remoteAddress)
    const lastWords = this.farewell(ended, error)
    if (lastWords) this.transport.write(lastWords)
    // A client that never said who it is gets no time to read. In a flood it must not stay until it closes by itself.
    if (ended === 'waiting' && !lastWords) this.transport.destroy()
    else this.transport.end()
    this.onEnded()
  }

  /** The client said goodbye. */
  protected endByClient(): void {
    this.#forget('CLOSED_BY_CLIENT')
    this.transport.end()
    this.onEnded()
  }

  /** Bytes for the client. One that does not read them is not read from until it does [G-4]. HOT: per batch and connection. */
  protected write(bytes: Uint8Array): void {
    this.transport.write(bytes)
    const isBehind = this.transport.writeBytes > limits.socketWriteBytesMax
    if (isBehind && (this.#pauses & pauseReasons.reader) === 0) this.pause(pauseReasons.reader)
  }

  /** From here on it may send messages. @param silenceMsMax after which it ends */
  protected open(silenceMsMax: number): void {
    assert(silenceMsMax > 0, 'a connection may be silent for a moment')
    assert(this.state === 'waiting' || this.state === 'deciding', 'a connection opens once')
    this.#heardAtTick = this.edge.ticks
    this.#silenceTicksMax = silenceMsMax / tickMs
    this.edge.waiting.delete(this)
    this.state = 'open'
  }

  /** As a call, since the compiler does not know that other calls change the state. */
  protected isClosed(): boolean {
    return this.state === 'closed'
  }

  /** @param reason error code, or who closed */
  #forget(reason: string): void {
    this.state = 'closed'
    this.#shaping?.()
    this.#shaping = undefined
    this.edge.waiting.delete(this)
    assert(this.edge.connections.delete(this), 'a connection ends once')
    this.edge.counters.connections.add(-1)
    this.endSessions(reason)
  }

  /** Reads nothing for `waitMs`, then calls `go`. */
  protected waitForQuota(waitMs: number, go: () => void): void {
    assert(waitMs > 0 && waitMs <= limits.shapingMsMax, `a connection stands still for a moment, and not ${waitMs} ms`)
    assert(!this.isClosed(), 'a connection that has ended waits for nothing: what it waited for would begin it anew')
    this.#shaping?.()
    this.transport.pause()
    this.#shaping = this.edge.clock.after(waitMs, () => {
      this.#shaping = undefined
      try {
        go()
      } catch (error) {
        this.fail(faultOf(error))
      }
    })
  }

  protected resumeIfFree(): void {
    if (this.#pauses === 0 && !this.#shaping && this.state !== 'deciding') this.transport.resume()
  }
}

/** Read before and after a chunk: what comes between is its sender's. */
function messagesOf({ counters, unstoredMessages }: EdgeContext): number {
  return counters.receivedQos0.value + counters.receivedQos1.value + unstoredMessages
}
