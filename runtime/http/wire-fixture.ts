/** A server that tells what requests it took bytes for, and a client that says any bytes, cut anywhere. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type HttpServer, openHttpServer } from './http.ts'

/** A request as a handler saw it. */
export interface SeenRequest {
  readonly method: string
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface SeeingServer {
  readonly port: number
  readonly seen: SeenRequest[]
  close(): Promise<void>
}

export const bodyBytesMax = 100_000

/** Answers every request at once, and notes it. */
export async function openSeeingServer(): Promise<SeeingServer> {
  const seen: SeenRequest[] = []
  const server: HttpServer = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) =>
      router.route({
        method: 'ANY',
        pattern: '/*',
        bodyBytesMax,
        handle: ({ method, path, queryText, headers }, body) => {
          const target = queryText === '' ? path : `${path}?${queryText}`
          seen.push({ method, target, headers: Object.fromEntries(headers), body: body.toString('latin1') })
          return { status: 200, body: '' }
        },
      }),
  })
  return { port: server.port, seen, close: () => server.close(0) }
}

/** One connection that says raw bytes. */
export class RawClient {
  readonly #socket: Socket
  #heard = ''
  closed = false

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', (bytes: Buffer) => {
      this.#heard += bytes.toString('latin1')
    })
    this.#socket.on('close', () => {
      this.closed = true
    })
    this.#socket.on('error', () => {})
  }

  get heard(): string {
    return this.#heard
  }

  /** Status of each answer, in order. */
  get statuses(): number[] {
    return [...this.#heard.matchAll(/^HTTP\/1\.1 (\d{3}) /gm)].map(([, status]) => Number(status))
  }

  /** Each piece is a segment of its own: the event loop turns between two, and the server reads what has come. */
  async say(pieces: readonly string[]): Promise<void> {
    if (this.#socket.connecting) await once(this.#socket, 'connect')
    for (const piece of pieces) {
      if (!this.#socket.writable) return
      this.#socket.write(piece, 'latin1')
      await turn()
    }
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
