/**
 * Membership of a reader group as the embedded logs keep it: plain data and pure steps over it. A log stores the state and
 * runs each step inside one write transaction, so members in several processes see one order of events.
 *
 *   partition:  free ──(wanted member takes it: generation + 1)──▶ owned ──(plan changed: owner gives it up)──▶ free
 *                                                                    └──(owner left or died: others remove it)──▶ free
 *
 * A commit is accepted only from the owner under the partition's current generation; that is the fence against a member that
 * was paused and comes back late.
 */
import { PenstockError } from '#schemas/errors.ts'

export interface GroupState {
  /** Grows by one with every change. */
  readonly revision: number
  readonly members: readonly GroupMemberState[]
  readonly partitions: readonly PartitionOwnership[]
}

export interface GroupMemberState {
  readonly id: string
  /** Names the process, so that members of a dead process on this machine are removed at once; see `process-identity.ts`. */
  readonly process: string
}

export interface PartitionOwnership {
  readonly owner: string | undefined
  /** The member that the current plan gives the partition to. */
  readonly wanted: string | undefined
  readonly generation: number
}

export function emptyGroup(partitionCount: number): GroupState {
  const partition = { owner: undefined, wanted: undefined, generation: 0 }
  return { revision: 0, members: [], partitions: Array.from({ length: partitionCount }, () => partition) }
}

/** One move of a member: removes members it knows to be dead, gives up what the plan takes from it, takes what is free and
 * planned for it. A member that is not (or no longer) in the group joins. Returns the same object if nothing changes. */
export function groupStep(state: GroupState, member: GroupMemberState, dead: ReadonlySet<string>): GroupState {
  const left = state.members.filter(({ id }) => !dead.has(id) || id === member.id)
  const joins = !left.some(({ id }) => id === member.id)
  const members = joins ? [...left, member] : left
  const changed = joins || left.length < state.members.length
  const planned = changed ? withPlan(state.partitions, members) : state.partitions
  const partitions = planned.map((partition) => {
    const { owner, wanted, generation } = partition
    if (wanted === member.id && owner === undefined) return { owner: wanted, wanted, generation: generation + 1 }
    if (owner === member.id && wanted !== owner) return { owner: undefined, wanted, generation }
    return partition
  })
  if (!changed && partitions.every((partition, index) => partition === state.partitions[index])) return state
  return { revision: state.revision + 1, members, partitions }
}

/** The member leaves; what it owned becomes free. */
export function groupLeave(state: GroupState, memberId: string): GroupState {
  const members = state.members.filter(({ id }) => id !== memberId)
  if (members.length === state.members.length) return state
  return { revision: state.revision + 1, members, partitions: withPlan(state.partitions, members) }
}

/** @throws LOG_GENERATION_STALE unless `memberId` owns the partition under `generation`. */
export function assertOwner(state: GroupState, partition: number, memberId: string, generation: number): void {
  const ownership = state.partitions[partition]
  if (ownership?.owner === memberId && ownership.generation === generation) return
  throw new PenstockError(
    'LOG_GENERATION_STALE',
    `partition ${partition} is at generation ${ownership?.generation} of another assignment, not ${generation} of this one`,
  )
}

/** Spreads partitions evenly; a live owner keeps its own up to its share. */
function withPlan(
  partitions: readonly PartitionOwnership[],
  members: readonly GroupMemberState[],
): readonly PartitionOwnership[] {
  const free = new Map<string, number>()
  const share = Math.floor(partitions.length / Math.max(1, members.length))
  const larger = partitions.length - share * members.length
  for (const { id } of members) free.set(id, share)
  let extra = larger
  const take = (id: string): boolean => {
    const left = free.get(id)
    if (left === undefined) return false
    if (left > 0) {
      free.set(id, left - 1)
      return true
    }
    // The first `larger` members that ask for one beyond their share get it, once.
    if (left === 0 && extra > 0) {
      extra--
      free.set(id, -1)
      return true
    }
    return false
  }
  const kept = partitions.map(({ owner, wanted }) => {
    const holder = owner ?? wanted
    return holder !== undefined && take(holder) ? holder : undefined
  })
  return partitions.map((partition, index) => {
    const wanted = kept[index] ?? members.find(({ id }) => take(id))?.id
    const owner = partition.owner !== undefined && free.has(partition.owner) ? partition.owner : undefined
    return owner === partition.owner && wanted === partition.wanted ? partition : { ...partition, owner, wanted }
  })
}
