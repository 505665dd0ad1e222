import { Socket, type SocketConstructorOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'

/** All sockets of the process are read into this buffer, one after the other. Nobody keeps a view of it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Views of its beginning by their length: messages of devices are short, and mostly alike. */
const views: (Buffer | undefined)[] = []
const viewBytesMax = 1024

/** HOT: per read. */
function firstBytes(length: number): Buffer {
  if (length > viewBytesMax) return readBuffer.subarray(0, length)
  const known = views[length]
  if (known !== undefined) return known
  const made = readBuffer.subarray(0, length)
  views[length] = made
  return made
}

/** Fields of a Node socket beside its public interface: its handle, and the server that counts it. */
interface SocketParts {
  _handle: unknown
  _server: unknown
}

/**
 * Sockets that filled the buffer, and so have more to read. Each goes on after all others had their turn. Otherwise the system would read
 * a socket that is always full 32 times before it reads the next one [G-4].
 */
const waitingTurn: Socket[] = []

function awaitTurn(socket: Socket): void {
  if (waitingTurn.push(socket) > 1) return
  setImmediate(() => {
    for (const next of waitingTurn.splice(0)) if (!next.destroyed && !next.isPaused()) next.resume()
  })
}

/** @returns false: the socket waits for its turn */
function isReadOn(socket: Socket, length: number, onChunk: (bytes: Buffer) => void): boolean {
  onChunk(firstBytes(length))
  if (length < readBuffer.length) return true
  awaitTurn(socket)
  return false
}

/**
 * Reads an accepted socket into one buffer that all sockets share, so that no buffer is allocated for each read. A server's socket object
 * cannot be given a buffer, so the connection gets a socket object of its own.
 * @param accepted paused, as of a server with `pauseOnConnect`
 * @param onChunk bytes valid during the call
 * @returns paused
 */
export function readInPlace(accepted: Socket, onChunk: (bytes: Buffer) => void): Socket {
  const parts = accepted as unknown as SocketParts
  const options: SocketConstructorOpts & { readonly handle: unknown } = {
    handle: parts._handle,
    onread: { buffer: readBuffer, callback: (length) => isReadOn(socket, length, onChunk) },
  }
  const socket = new Socket(options)
  ;(socket as unknown as SocketParts)._server = parts._server
  parts._handle = null
  parts._server = null
  return socket
}

/** Where a socket that was made with a buffer of its own (`onread`) keeps it, and whom it tells; Node names neither. */
const [bufferField, callbackField] = ['kBuffer', 'kBufferCb'].map((name) =>
  Object.getOwnPropertySymbols(new Socket()).find(({ description }) => description === name),
)

/**
 * The same for the server's side of TLS, for which Node has no such option. Where its sockets look otherwise than is known here, they are
 * read as usual. A pause lets the other records of the read under way come, as over TCP it does the rest of a chunk.
 * @param socket its handshake is done, and nothing was read of it
 */
export function readTlsInPlace(socket: TLSSocket, onChunk: (bytes: Buffer) => void): void {
  const { _handle: handle } = socket as unknown as { _handle: { useUserBuffer?(buffer: Buffer): void } | null }
  if (bufferField === undefined || callbackField === undefined || typeof handle?.useUserBuffer !== 'function') {
    socket.on('data', onChunk)
    return
  }
  const fields = socket as unknown as Record<symbol, unknown>
  fields[bufferField] = readBuffer
  fields[callbackField] = (length: number) => isReadOn(socket, length, onChunk)
  handle.useUserBuffer(readBuffer)
  if (!socket.isPaused()) socket.resume()
}
