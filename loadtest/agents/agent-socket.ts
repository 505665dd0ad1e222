/**
 * The connection between coordinator and agent: plain TCP on loopback, elsewhere TLS with a secret that both hold (PSK). The handshake
 * proves the secret in constant time without sending it, and keeps devices' keys from whoever listens on the way.
 */
import { createHash } from 'node:crypto'
import { createServer, connect as plainConnect, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls'
import { channelLimits } from './agent-channel.ts'

/** Where an agent listens, and what opens its door. */
export interface AgentAddress {
  readonly host: string
  readonly port: number
  /** Undefined: on loopback only. */
  readonly secret: string | undefined
}

/** The one suite of OpenSSL's defaults that takes a shared key and has forward secrecy; such suites end with TLS 1.2. */
const suite = {
  ciphers: 'ECDHE-PSK-CHACHA20-POLY1305',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
} as const

export function agentServer({ secret }: AgentAddress, onSocket: (socket: Socket) => void): Server {
  if (secret === undefined) return createServer({ noDelay: true }, onSocket)
  const psk = keyOf(secret)
  const handshakeTimeout = channelLimits.silenceMsMax
  return createTlsServer({ ...suite, noDelay: true, handshakeTimeout, pskCallback: () => psk }, onSocket)
}

/** Rejects with the reason for people. */
export function connectToAgent({ host, port, secret }: AgentAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const to = { host, port, noDelay: true }
    const socket =
      secret === undefined
        ? plainConnect(to)
        : tlsConnect({
            ...to,
            ...suite,
            pskCallback: () => ({ psk: keyOf(secret), identity: 'coordinator' }),
            // There is no certificate: whoever holds the secret is the agent.
            checkServerIdentity: () => undefined,
          })
    const tooLate = setTimeout(() => socket.destroy(new Error('it does not answer')), channelLimits.silenceMsMax)
    socket.once('error', reject)
    socket.once('close', () => clearTimeout(tooLate))
    socket.once(secret === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(tooLate)
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

function keyOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
