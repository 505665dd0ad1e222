import { Socket } from 'node:net'
import { expect, test } from 'vitest'
import type { Receiver } from '#ingest/session/transport.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { SocketTransport } from './socket-transport.ts'

/** A socket whose network takes bytes when it is told to. */
class HeldSocket extends Socket {
  readonly taken: string[] = []
  hasRoom = false
  #callback: ((error?: Error) => void) | undefined

  override _write(bytes: Uint8Array, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    expect(this.#callback, 'one write is under way at a time').toBeUndefined()
    this.taken.push(Buffer.from(bytes).toString())
    if (this.hasRoom) callback()
    else this.#callback = callback
  }

  override _final(callback: () => void): void {
    this.taken.push('end')
    callback()
  }

  makeRoom(error?: Error): void {
    const callback = this.#callback
    this.#callback = undefined
    callback?.(error)
  }
}

function transportFixture() {
  const socket = new HeldSocket()
  const transport = new SocketTransport(virtualClock(), socket)
  let drained = 0
  const receiver: Receiver = {
    onChunk: () => {},
    onDrained: () => drained++,
    onClosed: () => {},
    fail: () => {},
  }
  transport.receiver = receiver
  const write = (text: string) => transport.write(Buffer.from(text))
  return { socket, transport, write, drained: () => drained }
}

test('what is written while the network is slow leaves in order, in one write', () => {
  const { socket, transport, write, drained } = transportFixture()
  for (const text of ['a', 'bc', 'd']) write(text)
  expect(socket.taken).toEqual(['a'])
  expect(transport.writeBytes).toBe(4)
  socket.makeRoom()
  expect(socket.taken).toEqual(['a', 'bcd'])
  expect([transport.writeBytes, drained()]).toEqual([3, 0])
  socket.makeRoom()
  expect([transport.writeBytes, drained()]).toEqual([0, 1])
})

test('nobody is told of room where there always was some', () => {
  const { socket, transport, write, drained } = transportFixture()
  socket.hasRoom = true
  for (const text of ['a', 'b']) write(text)
  expect(socket.taken).toEqual(['a', 'b'])
  expect([transport.writeBytes, drained()]).toEqual([0, 0])
})

test('the last words leave before the end, and nothing after them', async () => {
  const { socket, transport, write } = transportFixture()
  for (const text of ['a', 'last words']) write(text)
  transport.end()
  write('too late')
  await Promise.resolve()
  expect(socket.taken).toEqual(['a'])
  socket.makeRoom()
  socket.makeRoom()
  await new Promise((resolve) => setImmediate(resolve))
  expect(socket.taken).toEqual(['a', 'last words', 'end'])
  transport.destroy()
})

test('a write that fails ends the socket, and what waits behind it', () => {
  const { socket, write } = transportFixture()
  socket.on('error', () => {})
  for (const text of ['a', 'b']) write(text)
  socket.makeRoom(new Error('connection reset'))
  write('c')
  expect(socket.destroyed).toBe(true)
  expect(socket.taken).toEqual(['a'])
})
