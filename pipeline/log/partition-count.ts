import { availableParallelism } from 'node:os'

/**
 * Partitions of a topic that is made without a count: one for each CPU of this machine, from 2 to 16. Inserts of different partitions run side by
 * side, and each costs the embedded engine 12 to 20 ms of CPU beside its rows, so that more partitions than CPUs only cost.
 */
export function partitionCountDefault(): number {
  return Math.min(16, Math.max(2, availableParallelism()))
}
