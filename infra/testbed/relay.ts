import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Passes bytes on, and cuts every connection while it is shut. */
export class Relay {
  isShut = false
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(port: number) {
    this.#server = createServer((inner) => {
      const outer = connect(port, '127.0.0.1')
      for (const socket of [inner, outer]) {
        this.#sockets.add(socket)
        socket.on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          inner.destroy()
          outer.destroy()
        })
      }
      if (this.isShut) inner.destroy()
      inner.pipe(outer)
      outer.pipe(inner)
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
