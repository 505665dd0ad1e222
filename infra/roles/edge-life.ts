import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { announceUse } from '#runtime/folder-use.ts'

/** One start of an edge process, as the registry knows it. */
export interface EdgeLife {
  /** Its own, whoever else has the same name: two machines of one host name, or two containers. */
  readonly id: string
  /** Earlier lives of edges in this data folder that did not end in order and that nobody has looked after yet. */
  readonly departed: readonly string[]
  end(): void
}

/** With what makes it one of a kind it fits what `announceUse` tells others. */
const nameLengthMax = 27
const uniqueBytes = 9

/**
 * Begins a life of the edge process `edgeId`. What an earlier one held is known by its own id, so that nobody takes what another edge
 * of the same name holds for lost. Lives in a folder that is gone are found by their silence (`control/presence/lost-edges.ts`).
 */
export async function beginEdgeLife(dataDir: string, edgeId: string): Promise<EdgeLife> {
  const name = edgeId.replaceAll(/[^\w.-]/g, '_').slice(-nameLengthMax)
  const id = `${name}.${randomBytes(uniqueBytes).toString('base64url')}`
  const use = await announceUse(join(dataDir, 'edges'), id)
  return { id, departed: await use.departed(), end: () => use.end() }
}
