/** A receiver of OTLP/HTTP that keeps what it gets, and what the official definitions read in it. */
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { pythonForAnalysts } from './warehouse-clients.ts'

export interface OtlpRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

export interface OtlpReceiver {
  readonly url: string
  readonly requests: readonly OtlpRequest[]
  /** Connections that were opened so far. */
  readonly connections: number
  /** With which it answers from now on. */
  status: number
  close(): Promise<void>
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const requests: OtlpRequest[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks).toString()
    if (receiver.status === 200) requests.push({ path: request.url ?? '', headers: request.headers, body })
    response.writeHead(receiver.status, { 'Content-Type': 'application/json' }).end('{"partialSuccess":{}}')
  })
  // It closes none by itself, so that those which are opened can be counted.
  server.keepAliveTimeout = 0
  server.on('connection', (socket) => {
    connections++
    sockets.add(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get connections() {
      return connections
    },
    status: 200,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
  return receiver
}

export interface DecodedOtlp {
  readonly path: string
  /** As protobuf's JSON, with the names of the .proto files. */
  readonly request: Readonly<Record<string, unknown>>
}

/** @throws if one of them has a field that the official definitions do not have, or of another type */
export function decodeOtlp(requests: readonly OtlpRequest[]): DecodedOtlp[] {
  const input = requests.map(({ path, body }) => `${path} ${body}\n`).join('')
  const script = join(import.meta.dirname, 'warehouse-clients/otlp.py')
  const { status, stdout, stderr } = spawnSync(pythonForAnalysts, [script], {
    input,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
  })
  if (status !== 0) throw new Error(stderr.slice(-4_000))
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as DecodedOtlp)
}
