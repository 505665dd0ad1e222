import type { Checkpoint, CheckpointStore, PartitionOwnership } from '@azure/event-hubs'

/** What the hub's clients for events ask of a store of checkpoints, in memory. */
export class KeptCheckpoints implements CheckpointStore {
  readonly #owned = new Map<string, PartitionOwnership>()
  readonly #checkpoints = new Map<string, Checkpoint>()
  #etag = 0

  async listOwnership(): Promise<PartitionOwnership[]> {
    return [...this.#owned.values()]
  }

  async claimOwnership(claims: PartitionOwnership[]): Promise<PartitionOwnership[]> {
    return claims.flatMap((claim) => {
      if (this.#owned.get(claim.partitionId)?.etag !== claim.etag) return []
      const owned = { ...claim, etag: String(++this.#etag), lastModifiedTimeInMs: Date.now() }
      this.#owned.set(claim.partitionId, owned)
      return [owned]
    })
  }

  async updateCheckpoint(checkpoint: Checkpoint): Promise<void> {
    this.#checkpoints.set(checkpoint.partitionId, checkpoint)
  }

  async listCheckpoints(): Promise<Checkpoint[]> {
    return [...this.#checkpoints.values()]
  }
}
