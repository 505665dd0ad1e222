/** The transports against Penstock's own edge are in `transports.integration.ts`; here frames are cut at every byte. */
import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { type DeviceSocket, frameHead, SocketFactory } from './device-socket.ts'

test('WebSocket: payloads arrive whole and in order wherever the network cuts, and pings are answered', async () => {
  const payloads = [
    Buffer.from('a'),
    Buffer.alloc(0),
    Buffer.alloc(125, 1),
    Buffer.alloc(126, 2),
    Buffer.alloc(70_000, 3),
  ]
  const stream = Buffer.concat([
    Buffer.from('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
    ...payloads.flatMap((payload, index) => [
      serverFrame(0x82, payload),
      ...(index === 2 ? [serverFrame(0x89, Buffer.alloc(0))] : []),
    ]),
  ])
  for (const cut of [1, 3, 7, 61, 4096]) {
    const pieces: Buffer[] = []
    for (let at = 0; at < Math.min(stream.length, 600); at += cut)
      pieces.push(stream.subarray(at, Math.min(at + cut, 600)))
    pieces.push(stream.subarray(600))
    const { received, answered } = await talk(pieces, Buffer.concat(payloads).length)
    expect(received.equals(Buffer.concat(payloads))).toBe(true)
    expect(answered.includes(frameHead(0x8a, 0))).toBe(true)
  }
})

test('a refused upgrade is told with its status', async () => {
  const { fault } = await talk([Buffer.from('HTTP/1.1 404 Not Found\r\n\r\n')], 1)
  expect(fault).toBe('WebSocket refused: HTTP/1.1 404 Not Found')
})

test('frame heads of all three lengths', () => {
  expect([125, 126, 65_535, 65_536].map((length) => frameHead(0x82, length).length)).toEqual([6, 8, 8, 14])
})

/** Sends the pieces one by one, each once the one before has left; ends when enough arrived or the connection closed. */
async function talk(pieces: readonly Buffer[], bytes: number) {
  const answered: Buffer[] = []
  const sockets: Socket[] = []
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket)
    socket.once('data', async () => {
      socket.on('data', (data) => answered.push(data))
      for (const piece of pieces) {
        await new Promise((resolve) => socket.write(piece, resolve))
        await new Promise(setImmediate)
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `ws://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  const received: Buffer[] = []
  let fault = ''
  let socket: DeviceSocket | undefined
  await new Promise<void>((resolve) => {
    const isAll = () => received.reduce((sum, { length }) => sum + length, 0) >= bytes
    const factory = new SocketFactory({ url, tlsCaFile: undefined, isTlsUnverified: false }, 4096)
    socket = factory.open(
      {
        onBytes: (chunk, count) => {
          received.push(Buffer.from(chunk.subarray(0, count)))
          if (isAll()) resolve()
        },
        onFault: (text) => {
          fault = text
        },
        onClose: () => resolve(),
      },
      undefined,
    )
    socket.write(Buffer.from('first'))
  })
  if (fault === '') while (!Buffer.concat(answered).includes(frameHead(0x8a, 0))) await new Promise(setImmediate)
  socket?.destroy()
  for (const each of sockets) each.destroy()
  await new Promise((resolve) => server.close(resolve))
  return { received: Buffer.concat(received), answered: Buffer.concat(answered), fault }
}

function serverFrame(first: number, payload: Buffer): Buffer {
  const head = frameHead(first, payload.length)
  const unmasked = Buffer.from(head.subarray(0, head.length - 4))
  unmasked[1] = (unmasked[1] ?? 0) & 0x7f
  return Buffer.concat([unmasked, payload])
}
