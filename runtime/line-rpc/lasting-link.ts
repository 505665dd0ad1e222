import { connect } from 'node:net'
import { type Clock, sleep } from '#runtime/clock.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Answered, Asked, Contract, Handlers, Pushed, PushName, QuestionName } from './contract.ts'
import { LineRpc } from './line-rpc.ts'
import type { LinkVersion } from './link-version.ts'
import { SocketChannel, type SocketChannelLimits } from './socket-channel.ts'

export interface LastingLinkOptions<Own extends Contract, Peer extends Contract> {
  /** Unix socket that the other side listens on. */
  readonly path: string
  readonly limits: SocketChannelLimits
  readonly own: Own
  readonly handlers: Handlers<Own>
  readonly peer: Peer
  readonly clock: Clock
  readonly version: LinkVersion
  /** For a question and its repetitions together. */
  readonly answerMsMax: number
  /** @param again false the first time */
  readonly onConnected: (again: boolean) => void
  readonly onLost: (reason: string) => void
  readonly onPushFault: (name: string, reason: string) => void
}

const reconnectBackOff: BackOff = { firstMs: 20, factor: 2, maxMs: 1_000, jitter: 0 }

interface Waiting {
  readonly name: string
  readonly asked: unknown
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly cancelTimeout: () => void
}

/**
 * A link that is made again whenever it is lost. A question that was not answered is asked again over the next connection, so every
 * question must be one that may be asked twice.
 */
export class LastingLink<Own extends Contract, Peer extends Contract> {
  readonly #options: LastingLinkOptions<Own, Peer>
  readonly #waiting = new Set<Waiting>()
  readonly #closed = new AbortController()
  readonly #running: Promise<void>
  #rpc: LineRpc<Own, Peer> | undefined
  #refusal = ''

  constructor(options: LastingLinkOptions<Own, Peer>) {
    this.#options = options
    this.#running = this.#run()
  }

  get isConnected(): boolean {
    return this.#rpc !== undefined
  }

  /** @throws as `LineRpc.ask` */
  ask<Name extends QuestionName<Peer>>(name: Name, asked: Asked<Peer, Name>): Promise<Answered<Peer, Name>> {
    const { clock, answerMsMax } = this.#options
    return new Promise<unknown>((resolve, reject) => {
      if (this.#closed.signal.aborted) return reject(new PenstockError('LINK_LOST', closedText))
      const cancelTimeout = clock.after(answerMsMax, () => {
        if (this.#forget(waiting)) reject(new PenstockError('LINK_ANSWER_LATE', 'the other side did not answer'))
      })
      const waiting = { name, asked, resolve, reject, cancelTimeout }
      this.#waiting.add(waiting)
      if (this.#rpc) this.#ask(this.#rpc, waiting)
    }) as Promise<Answered<Peer, Name>>
  }

  /** @returns false if there is no connection at the moment */
  push<Name extends PushName<Peer>>(name: Name, pushed: Pushed<Peer, Name>): boolean {
    this.#rpc?.push(name, pushed)
    return this.#rpc !== undefined
  }

  async close(): Promise<void> {
    this.#closed.abort()
    await this.#running
    for (const waiting of [...this.#waiting])
      if (this.#forget(waiting)) waiting.reject(new PenstockError('LINK_LOST', closedText))
  }

  #ask(rpc: LineRpc<Own, Peer>, waiting: Waiting): void {
    const { name, asked, resolve, reject } = waiting
    rpc.ask(name as QuestionName<Peer>, asked as Asked<Peer, QuestionName<Peer>>).then(
      (answer) => {
        if (this.#forget(waiting)) resolve(answer)
      },
      (error: unknown) => {
        // Those are asked again, and given up in their own time.
        if (isPenstockError(error, 'LINK_LOST') || isPenstockError(error, 'LINK_ANSWER_LATE')) return
        if (this.#forget(waiting)) reject(error)
      },
    )
  }

  #forget(waiting: Waiting): boolean {
    waiting.cancelTimeout()
    return this.#waiting.delete(waiting)
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    const pauses = new Pauses(reconnectBackOff)
    let again = false
    while (!signal.aborted) {
      const wasConnected = await this.#connection(again)
      if (wasConnected) {
        again = true
        pauses.reset()
      }
      await sleep(this.#options.clock, pauses.nextMs(), signal)
    }
  }

  /** Once for each reason: it is tried again until one of the two is another version. */
  #tellRefused(error: PenstockError): void {
    if (error.code !== 'LINK_VERSION_REFUSED' || error.message === this.#refusal) return
    this.#refusal = error.message
    this.#options.onLost(error.message)
  }

  /** Resolves once the connection is over: with false if there was none. */
  async #connection(again: boolean): Promise<boolean> {
    const { path, limits, onConnected, onLost } = this.#options
    const { signal } = this.#closed
    const socket = connect(path)
    const channel = new SocketChannel(socket, limits)
    let reason: string | undefined
    const end = (why: string): void => {
      reason ??= why
      this.#rpc = undefined
      channel.destroy()
    }
    const rpc = new LineRpc({ ...this.#options, channel, onEnd: end })
    const closed = (): void => end(closedText)
    signal.addEventListener('abort', closed)
    let wasConnected = false
    const agreed = (): void => {
      wasConnected = true
      this.#refusal = ''
      this.#rpc = rpc
      for (const waiting of this.#waiting) this.#ask(rpc, waiting)
      onConnected(again)
    }
    const refused = (error: PenstockError): void => {
      this.#tellRefused(error)
      end(error.message)
    }
    socket.once('connect', () => void rpc.agree().then(agreed, refused))
    await channel.closed
    signal.removeEventListener('abort', closed)
    this.#rpc = undefined
    rpc.close()
    if (wasConnected && !signal.aborted) onLost(reason ?? 'the connection was closed')
    return wasConnected
  }
}

const closedText = 'the link was closed'
