/**
 * TLS between control and edges of other machines, by a secret that both have from the store, in place of certificates (RFC 5489): each
 * side proves that it knows it, what is said stays between the two, and a secret that leaks later opens nothing that was said before.
 * Why not certificates, or a signed challenge: docs/decisions/0017-downlink.md.
 */
import { connect, createServer, type Server, type TLSSocket } from 'node:tls'

/** Node offers shared secrets with TLS 1.2 only. */
const protocol = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2', ciphers: 'ECDHE-PSK-CHACHA20-POLY1305' } as const
const identity = 'penstock'
const handshakeMsMax = 5_000

/** @param onSocket called for peers that proved to know the secret */
export function listenBySecret(secret: Buffer, onSocket: (socket: TLSSocket) => void): Server {
  const pskCallback = (): Buffer => secret
  return createServer({ ...protocol, pskCallback, handshakeTimeout: handshakeMsMax, noDelay: true }, onSocket)
}

/** Emits `secureConnect` once the peer proved to know the secret; otherwise it closes. */
export function dialBySecret(secret: Buffer, host: string, port: number): TLSSocket {
  const socket = connect({
    ...protocol,
    host,
    port,
    pskCallback: () => ({ psk: secret, identity }),
    // The secret says who it is; there is no certificate.
    checkServerIdentity: () => undefined,
  })
  socket.setNoDelay(true)
  const cancel = setTimeout(() => socket.destroy(), handshakeMsMax)
  socket.once('secureConnect', () => clearTimeout(cancel))
  socket.once('close', () => clearTimeout(cancel))
  return socket
}
