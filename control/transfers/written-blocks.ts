/**
 * Whose the blocks of a target are. Each attempt at a transfer puts its blocks under a name of its own: what one asked for may land when
 * another has gone on where the store says, and must not take the place of what that one put.
 *
 *   attempt A   A-0 A-1 ··· A-2, too late      in the store: 2 of A, 2 of B
 *   attempt B           B-2 B-3 ─▶ blob        the blob: A-0 A-1 B-2 B-3; the service drops what no list names
 */
import type { BlockName, BlockRun, TransferContainer, TransferPosition } from './transfers.ts'

/** Behind one block more, which this writer put. */
export function behindBlockOf(writer: string, at: TransferPosition, jobId: string): TransferPosition {
  const runs = runsOf(at, jobId)
  const last = runs.at(-1)
  const isSame = last?.writer === writer
  const before = isSame ? runs.slice(0, -1) : runs
  return { ...at, blocks: at.blocks + 1, runs: [...before, { writer, count: (isSame ? last.count : 0) + 1 }] }
}

/** All of them, in their order. */
export function blocksOf(at: TransferPosition, jobId: string): BlockName[] {
  const writers = runsOf(at, jobId).flatMap(({ writer, count }) => Array<string>(count).fill(writer))
  return writers.map((writer, index) => ({ writer, index }))
}

/**
 * Puts the last block and makes the blob. Both are asked for again where a block is missing: the list of an attempt that lost its lease may
 * have come in between, which drops what it does not name.
 */
export async function putAndCommit(
  put: () => Promise<void>,
  container: TransferContainer,
  blob: string,
  blocks: readonly BlockName[],
): Promise<void> {
  await put()
  await container.commit(blob, blocks)
}

/** An earlier version put all under the name of the job, and did not say so. */
function runsOf({ blocks, runs }: TransferPosition, jobId: string): readonly BlockRun[] {
  const count = blocks - runs.reduce((sum, run) => sum + run.count, 0)
  return count > 0 ? [...runs, { writer: jobId, count }] : runs
}
