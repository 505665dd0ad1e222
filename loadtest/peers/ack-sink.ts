/**
 * The least a target can do: steps over PUBLISH frames and acknowledges them, stores nothing. It shows what the generator alone
 * can send. Usage: node infra/run.js loadtest/peers/ack-sink.ts [port] [--gather <ms>] [--cert <file> --key <file>]; prints the port it
 * listens on.
 *
 *   --gather   sleeps until so long after it last woke, as an edge process does that gathers, and looks at all sockets once
 *   --cert     speaks TLS
 */
import { readFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { parseArgs } from 'node:util'
import { blockThread } from '#runtime/block-thread.ts'

export interface AckSinkOptions {
  readonly gatherMs?: number
  /** PEM. */
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer }
}

/** Listens on loopback; `port` 0 picks a free one. @returns the port and a way to end it */
export function startAckSink(
  port: number,
  { gatherMs = 0, tls }: AckSinkOptions = {},
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  let acceptedAtMs = 0
  const onSocket = (socket: Socket): void => {
    acceptedAtMs = performance.now()
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(socket)
  }
  const server: Server =
    tls === undefined ? createServer({ noDelay: true }, onSocket) : createTlsServer({ ...tls, noDelay: true }, onSocket)
  if (gatherMs > 0)
    server.once('listening', () => gather(server, gatherMs, () => performance.now() - acceptedAtMs < awakeMs))
  return new Promise((resolve) => {
    server.listen({ port, host: '127.0.0.1', backlog: 4096 }, () => {
      const address = server.address()
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : port,
        close: () =>
          new Promise<void>((closed) => {
            server.close(() => closed())
            for (const socket of sockets) socket.destroy()
          }),
      })
    })
  })
}

/** A loop accepts one socket a turn, so it does not sleep while they come. */
const awakeMs = 500

function gather(server: Server, gatherMs: number, isAwake: () => boolean): void {
  let wokeAtMs = performance.now()
  const look = (): void => {
    if (!server.listening) return
    if (!isAwake()) blockThread(Math.max(0, wokeAtMs + gatherMs - performance.now()))
    wokeAtMs = performance.now()
    // The first callback runs before the loop looks at its sockets, the second after it.
    setImmediate(() => setImmediate(look))
  }
  look()
}

function serve(socket: Socket): void {
  let rest: Buffer | undefined
  socket.on('data', (data) => {
    const chunk = rest ? Buffer.concat([rest, data]) : data
    // One PUBACK of four bytes for each frame; no PUBLISH frame is shorter than that.
    const answers = Buffer.allocUnsafe(chunk.length + 8)
    let answerAt = 0
    let at = 0
    while (at + 2 <= chunk.length) {
      let bodyAt = at + 1
      let length = 0
      for (let shift = 0; bodyAt < chunk.length; shift += 7) {
        const byte = chunk[bodyAt++] as number
        length |= (byte & 0x7f) << shift
        if (byte < 0x80) break
      }
      const end = bodyAt + length
      if (end > chunk.length) break
      const head = chunk[at] as number
      if (head >> 4 === 3) {
        if ((head & 0x06) === 0x02) {
          const idAt = bodyAt + 2 + (((chunk[bodyAt] as number) << 8) | (chunk[bodyAt + 1] as number))
          answers[answerAt] = 0x40
          answers[answerAt + 1] = 0x02
          answers[answerAt + 2] = chunk[idAt] as number
          answers[answerAt + 3] = chunk[idAt + 1] as number
          answerAt += 4
        }
      } else if (head === 0x10) {
        const isVersion5 = chunk[bodyAt + 6] === 5
        answerAt += answers.write(isVersion5 ? '\x20\x03\x00\x00\x00' : '\x20\x02\x00\x00', answerAt, 'latin1')
      } else if (head === 0xc0) answerAt += answers.write('\xd0\x00', answerAt, 'latin1')
      else if (head === 0xe0) socket.end()
      at = end
    }
    rest = at < chunk.length ? Buffer.from(chunk.subarray(at)) : undefined
    if (answerAt > 0) socket.write(answers.subarray(0, answerAt))
  })
}

if (import.meta.main) {
  const value = { type: 'string' } as const
  const { values, positionals } = parseArgs({
    options: { gather: value, cert: value, key: value },
    allowPositionals: true,
  })
  const { cert, key } = values
  const tls =
    cert === undefined || key === undefined ? {} : { tls: { cert: readFileSync(cert), key: readFileSync(key) } }
  const { port } = await startAckSink(Number(positionals[0] ?? 0), { gatherMs: Number(values.gather ?? 0), ...tls })
  process.stdout.write(`${port}\n`)
}
