/**
 * How the members of a consumer group divide its partitions, as Kafka carries it between them: each says what it held, and the leader gives
 * each its share. Who holds a partition keeps it as far as its share allows.
 */
import kafkajs from 'kafkajs'
import { spreadPartitions } from '#pipeline/log/group/group.ts'
import { assert } from '#runtime/assert.ts'

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol

export const protocolName = 'penstock-spread'

/** What a member says of itself when it joins. */
export function metadataOf(topic: string, owned: readonly number[]): Buffer {
  return MemberMetadata.encode({ version: 1, topics: [topic], userData: Buffer.from(JSON.stringify(owned)) })
}

/** Made by the leader of the group only. */
export function divisionOf(
  topic: string,
  partitionCount: number,
  members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[],
): { memberId: string; memberAssignment: Buffer }[] {
  const holders: (string | undefined)[] = new Array(partitionCount).fill(undefined)
  for (const { memberId, memberMetadata } of members)
    for (const partition of ownedOf(memberMetadata)) if (partition < partitionCount) holders[partition] = memberId
  const ids = members.map(({ memberId }) => memberId).sort()
  const spread = spreadPartitions(holders, ids)
  assert(spread.length === partitionCount, `${partitionCount} partitions are spread, and not ${spread.length}`)
  return ids.map((memberId) => {
    const partitions = spread.flatMap((id, partition) => (id === memberId ? [partition] : []))
    const assignment = { [topic]: partitions }
    return {
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData: Buffer.alloc(0) }),
    }
  })
}

/** What a member was given. */
export function partitionsFrom(topic: string, memberAssignment: Buffer): readonly number[] {
  return MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? []
}

function ownedOf(memberMetadata: Buffer): number[] {
  try {
    const owned: unknown = JSON.parse(MemberMetadata.decode(memberMetadata)?.userData.toString() ?? '[]')
    return Array.isArray(owned) ? owned.filter((partition) => Number.isInteger(partition) && partition >= 0) : []
  } catch {
    return [] // another client's member: it keeps nothing
  }
}
