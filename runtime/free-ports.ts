import { createServer, type Server } from 'node:net'

/** First and last port to choose from: below those that Linux and macOS give to outgoing connections by default. */
const portMin = 20_000
const portMax = 32_000

/**
 * Different TCP ports that nothing listens on at the moment, and that the system gives to no outgoing connection. With ports of that
 * range a client that connects again while its server is away would sooner or later get the server's own port, and connect to itself.
 * @throws what listening on `host` fails with, unless a port is taken
 */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const held: Server[] = []
  const ports: number[] = []
  try {
    while (ports.length < count) {
      const port = portMin + Math.floor(Math.random() * (portMax - portMin + 1))
      const server = await listening(port, host)
      if (server === undefined) continue
      held.push(server)
      ports.push(port)
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))))
  }
  return ports
}

export async function freePort(host?: string): Promise<number> {
  const [port = 0] = await freePorts(1, host)
  return port
}

function listening(port: number, host: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined)
      else reject(error)
    })
    server.listen(port, host, () => resolve(server))
  })
}
