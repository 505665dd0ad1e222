/**
 * The least a target can do: steps over PUBLISH frames and acknowledges them, stores nothing. It shows what the generator alone
 * can send. Usage: node infra/run.js loadtest/peers/ack-sink.ts [port]; prints the port it listens on.
 */
import { createServer, type Socket } from 'node:net'

/** Listens on loopback; `port` 0 picks a free one. @returns the port and a way to end it */
export function startAckSink(port: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
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
  const { port } = await startAckSink(Number(process.argv[2] ?? 0))
  process.stdout.write(`${port}\n`)
}
