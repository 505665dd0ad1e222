/**
 * A TCP proxy that does harm: between a worker and ClickHouse, or between Penstock and a Kafka broker.
 *
 *   client ◀──▶ proxy ◀──▶ server          passes    every chunk, in order
 *                                          delays    every chunk by so long
 *                                          holds     chunks of both directions until it passes again
 *                                          refuses   ends what is open and whatever comes
 *   once, at the next chunk:               cutRequest    half of it goes on, then both sides are reset
 *                                          cutResponse   half of it goes back, then both sides are reset
 *                                          swallow       nothing of it goes back: the server did it, the client is not told
 */
import { connect, createServer, type Server, type Socket } from 'node:net'

export type ProxyMode = 'passes' | 'delays' | 'holds' | 'refuses'
export type ProxyBlow = 'cutRequest' | 'cutResponse' | 'swallow'

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class FaultyProxy {
  readonly port: number
  delayMs = 0
  readonly #listener: Server
  readonly #upstream: () => { readonly host: string; readonly port: number }
  readonly #pairs = new Set<Pair>()
  #mode: ProxyMode = 'passes'
  #held: (() => void)[] = []
  #blow: { readonly kind: ProxyBlow; readonly struck: () => void } | undefined

  private constructor(
    listener: Server,
    port: number,
    upstream: () => { readonly host: string; readonly port: number },
  ) {
    this.#listener = listener
    this.port = port
    this.#upstream = upstream
    listener.on('connection', (client) => this.#accept(client))
  }

  /** Listens on a loopback port; each new connection asks `upstream` where it goes. */
  static async listen(
    port: number,
    upstream: () => { readonly host: string; readonly port: number },
  ): Promise<FaultyProxy> {
    const listener = createServer({ allowHalfOpen: true, noDelay: true })
    await new Promise<void>((resolve, reject) => {
      listener.once('error', reject)
      listener.listen(port, '127.0.0.1', resolve)
    })
    const address = listener.address()
    return new FaultyProxy(listener, typeof address === 'object' && address !== null ? address.port : port, upstream)
  }

  get connectionCount(): number {
    return this.#pairs.size
  }

  set mode(mode: ProxyMode) {
    this.#mode = mode
    if (mode === 'refuses') for (const pair of this.#pairs) reset(pair)
    if (mode !== 'holds') for (const release of this.#held.splice(0)) release()
  }

  /** Arms a blow at the next chunk of its direction; resolves when it has struck. */
  strike(kind: ProxyBlow): Promise<void> {
    return new Promise((struck) => {
      this.#blow = { kind, struck }
    })
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) reset(pair)
    await new Promise((resolve) => this.#listener.close(resolve))
  }

  #accept(client: Socket): void {
    if (this.#mode === 'refuses') {
      client.on('error', () => {})
      client.resetAndDestroy()
      return
    }
    const server = connect({ ...this.#upstream(), noDelay: true, allowHalfOpen: true })
    const pair = { client, server }
    this.#pairs.add(pair)
    this.#carry(pair, client, server, 'cutRequest')
    this.#carry(pair, server, client, 'cutResponse')
  }

  /** Takes one direction of a connection; chunks wait for each other, so they keep their order. */
  #carry(pair: Pair, from: Socket, to: Socket, cut: ProxyBlow): void {
    let last: Promise<void> = Promise.resolve()
    const queue = (action: () => void) => {
      from.pause()
      last = last.then(() => this.#turn()).then(action)
    }
    from.on('data', (chunk) => {
      const blow = this.#blow
      if (blow && (blow.kind === cut || (blow.kind === 'swallow' && cut === 'cutResponse'))) {
        this.#blow = undefined
        if (blow.kind !== 'swallow') to.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => reset(pair))
        else reset(pair)
        blow.struck()
        return
      }
      queue(() => {
        const isRoom = to.destroyed || to.write(chunk)
        if (isRoom) from.resume()
        else to.once('drain', () => from.resume())
      })
    })
    from.on('end', () => queue(() => to.end()))
    from.on('error', () => reset(pair))
    from.on('close', () => {
      this.#pairs.delete(pair)
      to.destroy()
    })
  }

  /** Resolves when a chunk may go on. */
  async #turn(): Promise<void> {
    if (this.#mode === 'delays') await new Promise((resolve) => setTimeout(resolve, this.delayMs))
    if (this.#mode === 'holds') await new Promise<void>((release) => this.#held.push(release))
  }
}

function reset({ client, server }: Pair): void {
  client.resetAndDestroy()
  server.resetAndDestroy()
}
