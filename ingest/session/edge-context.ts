import type { X509Certificate } from 'node:crypto'
import type { Batcher } from '#ingest/batches/batcher.ts'
import type { Connection } from '#ingest/mqtt/connection.ts'
import type { Quotas } from '#ingest/quotas/quotas.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter, Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Authenticate, IsKnown } from './identity.ts'
import type { RefusalLog } from './refusal-log.ts'

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
  /** What the client showed in the TLS handshake, leaf first; empty without. Not verified. */
  certificates(): readonly X509Certificate[]
}

/**
 * Told of each device or module that connects or ends here.
 * @param reason of an end: an error code, CLOSED_BY_CLIENT (DISCONNECT) or CLOSED_BY_PEER (the stream just ended)
 */
export type OnPresence = (deviceId: string, moduleId: string | undefined, connected: boolean, reason: string) => void

/** @param openedAtMs by the monotonic clock, which the machine's processes share */
export type Announce = (sessionId: string, openedAtMs: number) => void

/** How finely silence is measured. */
export const tickMs = 100

/** What all connections of one edge process share. */
export interface EdgeContext {
  readonly batcher: Batcher
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  readonly authenticate: Authenticate
  readonly isKnown: IsKnown
  readonly connectionsMax: number
  /** Every open connection, also those that have not sent CONNECT yet. */
  readonly connections: Set<Connection>
  /** Those of them that have not sent CONNECT yet, oldest first. */
  readonly waiting: Set<Connection>
  /** What waits at all paused WebSockets together. */
  readonly webSocketWaiting: { bytes: number; readonly bytesMax: number }
  readonly refusals: RefusalLog
  readonly quotas: Quotas
  /** The one connection of each device or module, by `device` or `device/module`. */
  readonly sessions: Map<string, Connection>
  readonly counters: EdgeCounters
  /** Of `tickMs` each, that this process has listened to its sockets; read instead of the clock per chunk. */
  ticks: number
  /** Messages and requests that were answered instead of stored; quotas count them as well. */
  refusedMessages: number
  draining: boolean
  /** Tells the other edge processes of this machine that this device or module is now connected here. */
  readonly announce: Announce
  readonly onPresence: OnPresence
}

export interface EdgeCounters {
  readonly connections: Counter
  readonly opened: Counter
  readonly receivedQos0: Counter
  readonly receivedQos1: Counter
  readonly receivedHttp: Counter
  readonly acknowledged: Counter
}

export function edgeCounters(metrics: Metrics<MetricName>): EdgeCounters {
  return {
    connections: metrics.series('penstock_edge_connections'),
    opened: metrics.series('penstock_edge_connections_opened_total'),
    receivedQos0: metrics.series('penstock_edge_messages_received_total', { qos: '0' }),
    receivedQos1: metrics.series('penstock_edge_messages_received_total', { qos: '1' }),
    receivedHttp: metrics.series('penstock_edge_messages_received_total', { qos: 'http' }),
    acknowledged: metrics.series('penstock_edge_messages_acknowledged_total'),
  }
}
