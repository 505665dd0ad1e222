/**
 * Who is at the far end of connections that another server of this process took, as one that speaks TLS does, and passes on over a
 * local socket. Each opens with a header of the PROXY protocol, version 2 (haproxy, doc/proxy-protocol.txt, section 2.2):
 *
 *   12 bytes    1             1                   2             16       16            4
 *   signature   version 2,    IPv6, a stream      length, 36    source   destination   ports
 *               "PROXY"
 *
 * The source is no address but 128 random bits, made for this connection and known to this process alone: another process that reaches
 * the socket cannot name a peer, and without one nothing is served. A client may send such a header too, inside its stream; it takes
 * the place of the first, names nobody, and its connection is closed. So a client can lose its name, never take another's.
 */

import type { HttpResponse as NativeResponse } from 'uWebSockets.js'
import { randomFillSync, type X509Certificate } from 'node:crypto'

export interface HttpPeer {
  readonly remoteAddress: string
  /** What the client showed in the TLS handshake, leaf first; empty without. Not verified. The same array each time. */
  readonly certificates: readonly X509Certificate[]
  /** Passes on no more of what the client says, and ends the connection once what it was told has arrived. */
  end(): void
}

const head = Buffer.from('0d0a0d0a000d0a515549540a21210024', 'hex')
const sourceBytes = 16
const headerBytes = head.length + 36

export class HttpPeers {
  readonly #peers = new Map<string, HttpPeer>()

  /** @returns the header that opens the peer's connection, and what to call once that has ended */
  add(peer: HttpPeer): { readonly header: Buffer; readonly forget: () => void } {
    const header = Buffer.alloc(headerBytes)
    head.copy(header)
    randomFillSync(header, head.length, sourceBytes)
    const name = header.toString('latin1', head.length, head.length + sourceBytes)
    this.#peers.set(name, peer)
    return { header, forget: () => this.#peers.delete(name) }
  }

  /** HOT: per request; one short text. `undefined`: whoever this is, it came another way. */
  of(response: NativeResponse): HttpPeer | undefined {
    return this.#peers.get(Buffer.from(response.getProxiedRemoteAddress()).toString('latin1'))
  }
}
