import { Socket, type SocketConstructorOpts } from 'node:net'

/** What all TCP sockets of the process are read into, one after the other; nobody keeps anything of it. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

/** What Node keeps of a socket besides its public face: the system's side, and the server that counts it. */
interface SocketParts {
  _handle: unknown
  _server: unknown
}

/**
 * Reads an accepted socket into one buffer that all share, through a socket object of its own, since a server's cannot be told where to
 * read to: no buffer is made and collected for each read.
 * @param accepted paused, as of a server with `pauseOnConnect`
 * @param onChunk bytes valid during the call, and whether they filled the buffer, so that there is more to read
 * @returns paused
 */
export function readInPlace(accepted: Socket, onChunk: (bytes: Buffer, isFull: boolean) => void): Socket {
  const parts = accepted as unknown as SocketParts
  const options: SocketConstructorOpts & { readonly handle: unknown } = {
    handle: parts._handle,
    onread: {
      buffer: readBuffer,
      callback: (length: number) => {
        onChunk(readBuffer.subarray(0, length), length === readBuffer.length)
        return true
      },
    },
  }
  const socket = new Socket(options)
  ;(socket as unknown as SocketParts)._server = parts._server
  parts._handle = null
  parts._server = null
  return socket
}
