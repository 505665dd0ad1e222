import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Clock } from '#runtime/clock.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import { SocketChannel } from '#runtime/line-rpc/socket-channel.ts'
import { listening } from '#runtime/listening.ts'
import type { Logger } from '#runtime/logger.ts'
import type { EdgeDownlink } from './downlink.ts'
import { downlinkContract, downlinkHandlers } from './downlink-contract.ts'
import { downlinkChannelLimits, downlinkVersion, noContract, wayMsMax } from './link-limits.ts'
import { listenBySecret } from './shared-secret.ts'

export interface EdgeListener {
  readonly port: number
  close(): Promise<void>
}

/** More control roles than a hub has; whoever does not know the secret holds a place for a handshake only. */
const connectionsMax = 256

/** Listens for control roles of other machines. @throws PORT_UNAVAILABLE */
export async function listenForControl(
  edgeId: string,
  edge: EdgeDownlink,
  secret: Buffer,
  address: { readonly host: string; readonly port: number },
  clock: Clock,
  logger: Logger,
): Promise<EdgeListener> {
  const sockets = new Set<{ destroy(): void }>()
  const server = listenBySecret(secret, (socket) => {
    const channel = new SocketChannel(socket, downlinkChannelLimits)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    new LineRpc({
      channel,
      own: downlinkContract,
      handlers: downlinkHandlers(edgeId, edge),
      peer: noContract,
      clock,
      version: downlinkVersion,
      answerMsMax: wayMsMax,
      onEnd: () => channel.destroy(),
      onPushFault: () => {},
      onQuestionFault: (question, error) => logger.warn('a question of control failed', { question, error }),
    }).listen()
  })
  server.maxConnections = connectionsMax
  server.on('tlsClientError', (error, { remoteAddress }) =>
    logger.warn('somebody came to the downlink who does not know its secret', { remote: remoteAddress, error }),
  )
  await listening(server, 'the downlink', address.host, address.port, false)
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
