/**
 * What coordinator and agent say to each other over one TCP connection, one JSON object a line.
 *
 *   coordinator                                      agent
 *        ◀──────────── welcome {machine} ──────────────        or ended {message}: it has a coordinator already
 *        ── command {process, connect} ───────────────▶      forks a generator process of that number
 *        ── command {process, run | abort} ───────────▶      passed on as they are
 *        ◀──────────── event {process, …} ─────────────      passed on as they are
 *        ── clock ────────────────────────────────────▶      at any time, also to show that it lives
 *        ◀──────────── clock {atMs} ───────────────────
 *        ── release ──────────────────────────────────▶      ends its generators, says ended {message}, closes
 *
 * Whatever ends a connection, or keeps it silent for `silenceMsMax`, ends the generators on one side and the run on the other.
 */
import type { Socket } from 'node:net'
import type { GeneratorCommand, GeneratorEvent } from '#loadtest/generate/generator-process.ts'
import type { Machine } from './machine.ts'

export type CoordinatorMessage =
  | { readonly kind: 'command'; readonly process: number; readonly command: GeneratorCommand }
  | { readonly kind: 'clock' }
  | { readonly kind: 'release' }

export type AgentMessage =
  | { readonly kind: 'welcome'; readonly machine: Machine }
  /** Nothing more will come. */
  | { readonly kind: 'ended'; readonly message: string }
  | { readonly kind: 'event'; readonly process: number; readonly event: GeneratorEvent }
  | { readonly kind: 'clock'; readonly atMs: number }

export const channelLimits = {
  /** Options with a shape of thousands of segments. */
  commandBytesMax: 1024 * 1024,
  /** A report with the ledgers of a million devices, about 150 bytes each, and some exceptions. */
  eventBytesMax: 256 * 1024 * 1024,
  /** So often the coordinator asks for the time during a run. */
  heartbeatMs: 1_000,
  /** Longer than any side takes to write or read the largest report. */
  silenceMsMax: 10_000,
  /** What may wait for a coordinator that reads too slowly, beside one report: progress is a few kilobytes. */
  progressBytesMax: 1024 * 1024,
} as const

export interface ChannelListener {
  /** One line's JSON. What it throws ends the channel with that reason. */
  onMessage(message: unknown): void
  /** Once, after the last message: the other side is gone, silent, or said what cannot be understood. */
  onEnd(reason: string): void
}

/** Lines of JSON over a socket, of bounded length; notices a silent other side. */
export class AgentChannel {
  readonly #socket: Socket
  readonly #bytesMax: number
  readonly #listener: ChannelListener
  readonly #parts: Buffer[] = []
  #bytes = 0
  #isEnded = false
  readonly closed: Promise<void>

  constructor(socket: Socket, bytesMax: number, listener: ChannelListener) {
    this.#socket = socket
    this.#bytesMax = bytesMax
    this.#listener = listener
    const silence = setTimeout(
      () => socket.destroy(new Error(`nothing was heard for ${channelLimits.silenceMsMax / 1000} s`)),
      channelLimits.silenceMsMax,
    )
    socket.on('data', (chunk) => {
      if (this.#isEnded) return
      silence.refresh()
      this.#read(chunk)
    })
    socket.on('error', (error) => this.#end(error.message))
    this.closed = new Promise((resolve) =>
      socket.once('close', () => {
        clearTimeout(silence)
        this.#end('the connection was closed')
        resolve()
      }),
    )
  }

  get isSlow(): boolean {
    return this.#socket.writableLength > channelLimits.progressBytesMax
  }

  send(message: CoordinatorMessage | AgentMessage): void {
    if (this.#socket.writable) this.#socket.write(`${JSON.stringify(message)}\n`)
  }

  /** Closes once everything is written; `closed` then resolves within `silenceMsMax`. */
  close(): void {
    this.#isEnded = true
    if (this.#socket.writable) this.#socket.end()
    else this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    let from = 0
    for (let at = chunk.indexOf(10); at >= 0 && !this.#isEnded; at = chunk.indexOf(10, from)) {
      this.#keep(chunk.subarray(from, at))
      from = at + 1
      if (!this.#isEnded) this.#deliver(Buffer.concat(this.#parts.splice(0)).toString())
      this.#bytes = 0
    }
    if (!this.#isEnded) this.#keep(chunk.subarray(from))
  }

  #keep(part: Buffer): void {
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes > this.#bytesMax) this.#end(`a message was longer than ${this.#bytesMax} bytes`)
  }

  #deliver(line: string): void {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      this.#end('a message was not JSON')
      return
    }
    try {
      this.#listener.onMessage(message)
    } catch (error) {
      this.#end(error instanceof Error ? error.message : String(error))
    }
  }

  #end(reason: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#parts.length = 0
    this.#listener.onEnd(reason)
  }
}
