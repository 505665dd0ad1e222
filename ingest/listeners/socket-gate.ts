import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Sockets that may be open without having sent CONNECT. They never take the places of those that have. */
export function waitingMax(connectionsMax: number): number {
  return Math.max(16, connectionsMax >> 1)
}

/** Sockets that one edge process holds, with and without CONNECT. */
export function socketsMax(connectionsMax: number): number {
  return connectionsMax + waitingMax(connectionsMax)
}

/**
 * Whether there is room for one more socket. In a flood of silent ones the longest silent gives way. A client that
 * means to connect says so within a round trip, long before its turn comes. @returns false: close it at once
 */
export function admitSocket(edge: EdgeContext): boolean {
  const refused = (reason: string) => edge.metrics.series('penstock_edge_sockets_refused_total', { reason }).add(1)
  assert(edge.waiting.size <= edge.connections.size, 'who waits is connected')
  if (edge.connections.size >= socketsMax(edge.connectionsMax)) {
    refused('full')
    return false
  }
  if (edge.waiting.size < waitingMax(edge.connectionsMax)) return true
  for (const longest of edge.waiting) {
    refused('silent')
    longest.fail(new PenstockError('INGEST_CONNECT_TIMEOUT', 'too many others wait, and this one says nothing'))
    break
  }
  return true
}
