import type { Server } from 'node:net'
import { PenstockError } from '#schemas/errors.ts'

/** Only Linux balances a shared port. On other systems one process serves it. */
const reusePort = process.platform === 'linux'
const backlog = 4096

/**
 * @param protocol for the message
 * @param isShared several processes listen on the same port, and the kernel spreads connections over them
 * @throws PORT_UNAVAILABLE
 */
export function listening(
  server: Server,
  protocol: string,
  host: string,
  port: number,
  isShared: boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const text = `cannot listen for ${protocol} on ${host}:${port}: ${cause.code}`
      reject(new PenstockError('PORT_UNAVAILABLE', text, { cause }))
    })
    server.listen({ host, port, backlog, reusePort: isShared && reusePort }, resolve)
  })
}
