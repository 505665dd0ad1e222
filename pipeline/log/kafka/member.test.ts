import kafkajs from 'kafkajs'
import { expect, it, vi } from 'vitest'
import type { KafkaBroker, KafkaCluster } from '#pipeline/kafka/client.ts'
import { silentLogger } from '#runtime/logger.ts'
import type { Assignment } from '../log.ts'
import type { KafkaFetcher } from './fetcher.ts'
import { KafkaMember } from './member.ts'

const { MemberAssignment } = kafkajs.AssignerProtocol

/** About the one partition. */
function answerOf(more: object) {
  return { responses: [{ topic: 't', partitions: [{ partition: 0, errorCode: 0, ...more }] }] }
}

/** A coordinator that gives the one partition to whoever joins, and a name and a generation to each who comes without. */
function coordinator() {
  const joins: string[] = []
  const leaves: string[] = []
  let generation = 0
  let members = 0
  const broker = {
    joinGroup: async ({ memberId }: { memberId: string }) => {
      joins.push(memberId)
      if (memberId === '') generation++
      const name = memberId === '' ? `member-${members++}` : memberId
      return { generationId: generation, memberId: name, leaderId: name, members: [] }
    },
    syncGroup: async () => ({
      memberAssignment: MemberAssignment.encode({ version: 1, assignment: { t: [0] }, userData: Buffer.alloc(0) }),
    }),
    offsetFetch: async () => answerOf({ offset: '-1', metadata: null }),
    heartbeat: async () => undefined,
    leaveGroup: async ({ memberId }: { memberId: string }) => void leaves.push(memberId),
    offsetCommit: vi.fn(async (): Promise<unknown> => answerOf({})),
  }
  const cluster = {
    connect: async () => {},
    disconnect: async () => {},
    findGroupCoordinator: async () => broker as unknown as KafkaBroker,
  } as unknown as KafkaCluster
  return { broker, cluster, joins, leaves }
}

function join(cluster: KafkaCluster) {
  const assignments: Assignment[] = []
  let wake = () => {}
  const member = new KafkaMember(cluster, { readers: new Set() } as unknown as KafkaFetcher, {
    group: 'g',
    topic: 't',
    partitionCount: () => 1,
    refreshPartitions: async () => {},
    sessionMs: 1_000,
    asking: cluster,
    logger: silentLogger,
    onAssigned: (assignment) => {
      assignments.push(assignment)
      wake()
    },
  })
  member.start()
  const assigned = async (index: number): Promise<Assignment> => {
    while (!assignments[index]) await new Promise<void>((resolve) => (wake = resolve))
    return assignments[index]
  }
  return { member, assigned }
}

it('after a commit without an answer nothing is committed under its generation: the member leaves and comes back as another [G-2]', async () => {
  const { broker, cluster, joins, leaves } = coordinator()
  const { member, assigned } = join(cluster)
  const first = await assigned(0)
  broker.offsetCommit.mockRejectedValueOnce(new kafkajs.KafkaJSRequestTimeoutError('no answer', {} as never))
  await expect(first.commit({ offset: 1, metadata: '' })).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
  expect(first.revoked.aborted).toBe(true)
  await expect(first.commit({ offset: 2, metadata: '' })).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
  expect(broker.offsetCommit).toHaveBeenCalledTimes(1)
  const second = await assigned(1)
  expect(second.generation).toBeGreaterThan(first.generation)
  expect(joins).toEqual(['', ''])
  expect(leaves).toEqual(['member-0'])
  await second.commit({ offset: 1, metadata: '' })
  await member.close()
})

it('a commit that the coordinator itself refuses for now is tried again under the same generation', async () => {
  const { broker, cluster, joins } = coordinator()
  const { member, assigned } = join(cluster)
  const only = await assigned(0)
  const notNow = new kafkajs.KafkaJSProtocolError({
    type: 'COORDINATOR_LOAD_IN_PROGRESS',
    code: 14,
    message: '',
  } as never)
  broker.offsetCommit.mockRejectedValueOnce(notNow)
  await only.commit({ offset: 1, metadata: '' })
  expect(broker.offsetCommit).toHaveBeenCalledTimes(2)
  expect(joins).toEqual([''])
  await member.close()
})

it('a heartbeat without an answer ends the membership too, since a commit may wait beside it', async () => {
  const { broker, cluster, joins } = coordinator()
  const { member, assigned } = join(cluster)
  broker.heartbeat = async () => {
    broker.heartbeat = async () => undefined
    throw new kafkajs.KafkaJSConnectionError('closed')
  }
  const first = await assigned(0)
  const second = await assigned(1)
  expect(second.generation).toBeGreaterThan(first.generation)
  expect(joins).toEqual(['', ''])
  await member.close()
})

it.each([
  ['nothing', { responses: [] }],
  ['another topic', { responses: [{ topic: 'other', partitions: [{ partition: 0, errorCode: 0 }] }] }],
  ['a fault', answerOf({ errorCode: 12 })],
])('a commit that is answered with %s is not known to be taken: the membership ends [G-2]', async (_, answer) => {
  const { broker, cluster, leaves } = coordinator()
  const { member, assigned } = join(cluster)
  const first = await assigned(0)
  broker.offsetCommit.mockResolvedValueOnce(answer)
  await expect(first.commit({ offset: 1, metadata: '' })).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
  await assigned(1)
  expect(leaves).toEqual(['member-0'])
  await member.close()
})
