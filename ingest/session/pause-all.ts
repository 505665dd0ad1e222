import type { Batcher } from '#ingest/batches/batcher.ts'
import type { EdgeConnection } from './edge-context.ts'
import { pauseReasons } from './pause-reasons.ts'

/** The batcher became full (or is no longer): stops reading from all connections, or resumes [G-4]. */
export function pauseAll(connections: Iterable<EdgeConnection>, batcher: Batcher): void {
  const isFull = batcher.full
  for (const connection of connections) {
    // What waited at a resumed connection may fill the batcher again. All of them are paused then.
    if (batcher.full !== isFull) return
    if (isFull) connection.pause(pauseReasons.edge)
    else connection.unpause(pauseReasons.edge)
  }
}
