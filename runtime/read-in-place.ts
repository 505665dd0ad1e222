import { Socket, type SocketConstructorOpts } from 'node:net'

/** What all TCP sockets of the process are read into, one after the other; nobody keeps anything of it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** What Node keeps of a socket besides its public face: the system's side, and the server that counts it. */
interface SocketParts {
  _handle: unknown
  _server: unknown
}

/**
 * Sockets that filled the buffer, and so have more to read: each goes on when all others had their turn. The system would read
 * one that is always full 32 times before it looks at the next [G-4].
 */
const waitingTurn: Socket[] = []

function awaitTurn(socket: Socket): void {
  if (waitingTurn.push(socket) > 1) return
  setImmediate(() => {
    for (const next of waitingTurn.splice(0)) if (!next.destroyed && !next.isPaused()) next.resume()
  })
}

/**
 * Reads an accepted socket into one buffer that all share, through a socket object of its own, since a server's cannot be told where to
 * read to: no buffer is made and collected for each read.
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
