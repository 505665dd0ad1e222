import type { X509Certificate } from 'node:crypto'
import type { PenstockError } from '#schemas/errors.ts'

/** What a connection's byte stream can do; TCP, TLS and WebSocket each have one. */
export interface Transport {
  /** Takes the bytes over: they are not changed by the caller afterwards. */
  write(bytes: Uint8Array): void
  /** Stops the arrival of chunks, so that the device's own writes stall. */
  pause(): void
  resume(): void
  /** Sends what was written, then closes. */
  end(): void
  destroy(): void
  /** Bytes written and not yet taken by the network. */
  readonly writeBytes: number
  /** For logs and quotas. */
  readonly remoteAddress: string
  /** TLS, or a peer on this machine: secrets may be sent. */
  readonly confidential: boolean
  /** For metrics. */
  readonly isWebSocket: boolean
  /** What the client showed in the TLS handshake, leaf first; empty without. Not verified. */
  certificates(): readonly X509Certificate[]
}

/** Who is told what happens to a byte stream; each protocol has one. */
export interface Receiver {
  /** Bytes as they came from the network; valid during the call only. Never throws. */
  onChunk(chunk: Buffer): void
  /** The network took what had been written. */
  onDrained(): void
  /** The byte stream ended without the edge asking for it. */
  onClosed(): void
  fail(error: PenstockError): void
}

/** Begins a connection on a byte stream. A listener is given it, and so knows no protocol. */
export type Attach = (transport: Transport) => Receiver
