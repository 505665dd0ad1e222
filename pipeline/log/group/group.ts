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
import { assert } from '#runtime/assert.ts'
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
  /**
   * True of a member that wants every partition, and delivers none: while it is there positions stand still, since the log refuses commits
   * of the owners before it. Of several such members the first has them.
   */
  readonly holds?: boolean
}

export interface PartitionOwnership {
  readonly owner: string | undefined
  /** The member that the current plan gives the partition to. */
  readonly wanted: string | undefined
  readonly generation: number
}

const free: PartitionOwnership = { owner: undefined, wanted: undefined, generation: 0 }

export function emptyGroup(partitionCount: number): GroupState {
  return { revision: 0, members: [], partitions: Array.from({ length: partitionCount }, () => free) }
}

/** The state with the partitions that its log has got since it was written; they are planned for at the next step of any member. */
export function groupOver(state: GroupState, partitionCount: number): GroupState {
  const { partitions } = state
  if (partitions.length >= partitionCount) return state
  const added = Array.from({ length: partitionCount - partitions.length }, () => free)
  return { ...state, partitions: [...partitions, ...added] }
}

/** True while nobody is to have some partition, though there are members. */
export function isUnplanned({ members, partitions }: GroupState): boolean {
  return members.length > 0 && partitions.some(({ wanted }) => wanted === undefined)
}

/** One move of a member: removes members it knows to be dead, gives up what the plan takes from it, takes what is free and
 * planned for it. A member that is not (or no longer) in the group joins. Returns the same object if nothing changes. */
export function groupStep(state: GroupState, member: GroupMemberState, dead: ReadonlySet<string>): GroupState {
  const left = state.members.filter(({ id }) => !dead.has(id) || id === member.id)
  const joins = !left.some(({ id }) => id === member.id)
  const members = joins ? [...left, member] : left
  const changed = joins || left.length < state.members.length || isUnplanned(state)
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

/** The plan for these members, with what the members that left had owned set free. */
function withPlan(
  partitions: readonly PartitionOwnership[],
  members: readonly GroupMemberState[],
): readonly PartitionOwnership[] {
  const ids = members.map(({ id }) => id)
  const holder = members.find(({ holds }) => holds)
  const plan = spreadPartitions(
    partitions.map(({ owner, wanted }) => owner ?? wanted),
    holder === undefined ? ids : [holder.id],
  )
  return partitions.map((partition, index) => {
    const wanted = plan[index]
    const owner = partition.owner !== undefined && ids.includes(partition.owner) ? partition.owner : undefined
    return owner === partition.owner && wanted === partition.wanted ? partition : { ...partition, owner, wanted }
  })
}

/**
 * Spreads partitions evenly over members; who holds a partition keeps it as far as its share allows.
 * @param holders the member that holds each partition now, if any
 * @returns a member for each partition; `undefined` only if there are no members
 */
export function spreadPartitions(
  holders: readonly (string | undefined)[],
  members: readonly string[],
): (string | undefined)[] {
  const share = Math.floor(holders.length / Math.max(1, members.length))
  const left = new Map(members.map((id) => [id, share]))
  // So many members get one partition beyond the even share, the first that ask.
  let extra = holders.length - share * members.length
  const take = (id: string): boolean => {
    const room = left.get(id) ?? -1
    if (room < 0 || (room === 0 && extra === 0)) return false
    if (room === 0) extra--
    left.set(id, room - 1)
    return true
  }
  const kept = holders.map((holder) => (holder !== undefined && take(holder) ? holder : undefined))
  const spread = kept.map((holder) => holder ?? members.find((id) => take(id)))
  // One that is named twice takes the share of one: what is left over nobody would deliver.
  assert(members.length === 0 || !spread.includes(undefined), `each of ${holders.length} partitions has a member`)
  return spread
}
