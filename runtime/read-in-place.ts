import { Socket, type SocketConstructorOpts } from 'node:net'

/** All TCP sockets of the process are read into this buffer, one after the other. Nobody keeps a view of it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

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
    onread: {
      buffer: readBuffer,
      callback: (length: number) => {
        onChunk(readBuffer.subarray(0, length))
        if (length < readBuffer.length) return true
        awaitTurn(socket)
        return false
      },
    },
  }
  const socket = new Socket(options)
  ;(socket as unknown as SocketParts)._server = parts._server
  parts._handle = null
  parts._server = null
  return socket
}
