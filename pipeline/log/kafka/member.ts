/**
 * A member of a Kafka consumer group (classic protocol) that knows the generation of what it holds.
 *
 *   join ──▶ sync ──▶ positions ──▶ assigned ──heartbeats──▶ rebalance: all revoked ──▶ join
 *                                      └─ unknown member, stale generation, coordinator gone: all revoked ──▶ join
 *
 * Every commit carries the generation that its partition was assigned under, so the coordinator itself refuses a member that
 * was paused and comes back late. Heartbeats and commits have connections of their own.
 *
 * A commit without an answer may still wait in a broker's queue, on a connection that nobody reads any more, and be taken after
 * later ones of the same generation: the position would go back. So nothing is committed under that generation again. The member
 * leaves and joins as a new one; that moves the group to another generation, under which the old commit is refused, before
 * positions are read again. (Joining under the old name may return the old generation.)
 */
import kafkajs from 'kafkajs'
import { answersOf, offsetFrom } from '#pipeline/kafka/answers.ts'
import { faultType, type KafkaBroker, type KafkaCluster, kafkaBackOff, pauseAfter } from '#pipeline/kafka/client.ts'
import { spreadPartitions } from '#pipeline/log/group/group.ts'
import { assert } from '#runtime/assert.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { retry } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Assignment, GroupMember, GroupPosition } from '../log.ts'
import { assertPartition, assertPosition } from '../log-checks.ts'
import { accessFault } from './access-fault.ts'
import type { KafkaFetcher } from './fetcher.ts'

export interface KafkaMemberOptions {
  readonly group: string
  readonly topic: string
  readonly partitionCount: () => number
  /** As of `Log`. */
  readonly refreshPartitions: () => Promise<void>
  readonly sessionMs: number
  readonly logger: Logger
  readonly onAssigned: (assignment: Assignment) => void
}

/** Longest pause between heartbeats, by which a member learns of a rebalance. */
const heartbeatMsMax = 500

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol

/** Kafka's word for no position. */
const neverCommitted = -1

const protocolName = 'penstock-spread'

/** The coordinator does not accept this member under this generation any more. */
const staleFaults: ReadonlySet<string> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
])

export class KafkaMember implements GroupMember {
  readonly #cluster: KafkaCluster
  readonly #fetcher: KafkaFetcher
  readonly #options: KafkaMemberOptions
  readonly #held = new Map<number, AbortController>()
  /** What this member held last; told to the leader, who lets it keep that if it can. */
  #owned: readonly number[] = []
  #memberId = ''
  /** A name that this member gave up, and that the group should forget before its session ends. */
  #abandonedId = ''
  #coordinator: KafkaBroker | undefined
  #wake: () => void = () => {}
  #rejoin = false
  #isLeader = false
  #closed = false
  #running: Promise<void> = Promise.resolve()

  constructor(cluster: KafkaCluster, fetcher: KafkaFetcher, options: KafkaMemberOptions) {
    this.#cluster = cluster
    this.#fetcher = fetcher
    this.#options = options
  }

  start(): void {
    this.#running = this.#run()
  }

  async close(): Promise<void> {
    if (this.#closed) return this.#running
    this.#closed = true
    this.#revokeAll()
    this.#wake()
    const { group } = this.#options
    // A join in progress would wait for the others; leaving ends it, and frees the partitions at once.
    if (this.#memberId !== '')
      await this.#coordinatorNow()
        .then((broker) => broker.leaveGroup({ groupId: group, memberId: this.#memberId }))
        .catch(() => {}) // the session ends by itself then
    await this.#cluster.disconnect().catch(() => {})
    await this.#running
  }

  /** The topic has more partitions than when they were divided last. Who leads the group divides them, and moves it by joining again. */
  divideAnew(): void {
    if (!this.#isLeader) return
    this.#rejoin = true
    this.#wake()
  }

  async #run(): Promise<void> {
    const { group } = this.#options
    let failures = 0
    while (!this.#closed) {
      try {
        const generation = await this.#joinAndAssign()
        failures = 0
        await this.#heartbeats(generation)
      } catch (error) {
        const held = this.#held.size > 0
        this.#revokeAll()
        if (this.#closed) return
        const type = faultType(error)
        // A commit may be under way, unanswered like what failed here.
        if (held && !staleFaults.has(type)) this.#abandon()
        if (type === 'UNKNOWN_MEMBER_ID' || type === 'FENCED_INSTANCE_ID') this.#memberId = ''
        if (!staleFaults.has(type)) {
          this.#coordinator = undefined
          if (failures++ > 0)
            this.#options.logger.warn('a group member joins again', { group, why: accessFault(error)?.text, error })
        }
        await pauseAfter(staleFaults.has(type) ? 0 : failures)
        await this.#cluster.connect().catch(() => {}) // no broker answers: the next attempt fails too
      }
    }
  }

  async #joinAndAssign(): Promise<number> {
    const { group, topic, sessionMs } = this.#options
    this.#rejoin = false
    const broker = await this.#coordinatorNow()
    const abandonedId = this.#abandonedId
    this.#abandonedId = ''
    if (abandonedId !== '') await broker.leaveGroup({ groupId: group, memberId: abandonedId }).catch(() => {}) // its session ends
    const userData = Buffer.from(JSON.stringify(this.#owned))
    const joined = await broker.joinGroup({
      groupId: group,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      memberId: this.#memberId,
      groupProtocols: [
        {
          name: protocolName,
          metadata: MemberMetadata.encode({ version: 1, topics: [topic], userData }),
        },
      ],
    })
    this.#memberId = joined.memberId
    const { generationId, memberId, leaderId, members } = joined
    assert(memberId !== '', 'a member that joined has a name')
    assert(Number.isInteger(generationId) && generationId >= 0, `a group has a generation, not ${generationId}`)
    this.#isLeader = leaderId === memberId
    const groupAssignment = this.#isLeader ? this.#assignmentOf(members) : []
    const synced = await broker.syncGroup({ groupId: group, generationId, memberId, groupAssignment })
    const decoded = MemberAssignment.decode(synced.memberAssignment)
    const partitions = decoded?.assignment[topic] ?? []
    // The leader has seen the topic grow before this one.
    if (partitions.some((partition) => partition >= this.#options.partitionCount()))
      await this.#options.refreshPartitions()
    for (const partition of partitions) assertPartition(partition, this.#options.partitionCount())
    assert(new Set(partitions).size === partitions.length, 'a member is assigned each partition once')
    const positions = await positionsOf(broker, group, topic, partitions)
    if (this.#closed) return generationId
    this.#owned = partitions
    for (const partition of partitions) this.#assign(partition, generationId, memberId, positions.get(partition))
    return generationId
  }

  /** Run by the leader of the group only. */
  #assignmentOf(
    members: readonly { memberId: string; memberMetadata: Buffer }[],
  ): { memberId: string; memberAssignment: Buffer }[] {
    const { topic } = this.#options
    const partitionCount = this.#options.partitionCount()
    const holders: (string | undefined)[] = new Array(partitionCount).fill(undefined)
    for (const { memberId, memberMetadata } of members)
      for (const partition of ownedOf(memberMetadata)) if (partition < partitionCount) holders[partition] = memberId
    const ids = members.map(({ memberId }) => memberId).sort()
    const spread = spreadPartitions(holders, ids)
    assert(spread.length === partitionCount, `${partitionCount} partitions are spread, and not ${spread.length}`)
    return ids.map((memberId) => {
      const partitions = spread.flatMap((id, partition) => (id === memberId ? [partition] : []))
      const memberAssignment = MemberAssignment.encode({
        version: 1,
        assignment: { [topic]: partitions },
        userData: Buffer.alloc(0),
      })
      return { memberId, memberAssignment }
    })
  }

  async #heartbeats(generation: number): Promise<void> {
    const { group, sessionMs } = this.#options
    const pauseMs = Math.min(heartbeatMsMax, sessionMs / 4)
    while (!this.#closed && !this.#rejoin) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pauseMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      if (this.#closed) return
      const broker = await this.#coordinatorNow()
      await broker.heartbeat({ groupId: group, groupGenerationId: generation, memberId: this.#memberId })
    }
    this.#revokeAll()
  }

  async #coordinatorNow(): Promise<KafkaBroker> {
    this.#coordinator ??= await this.#cluster.findGroupCoordinator({ groupId: this.#options.group })
    return this.#coordinator
  }

  #revokeAll(): void {
    const held = [...this.#held]
    this.#held.clear()
    for (const [partition, controller] of held) {
      this.#fetcher.readers.delete(partition)
      controller.abort()
    }
  }

  /** Ends this membership for good: the next join is another member's. */
  #abandon(): void {
    if (this.#memberId !== '') this.#abandonedId = this.#memberId
    this.#memberId = ''
    this.#coordinator = undefined
  }

  #assign(partition: number, generation: number, memberId: string, position: GroupPosition | undefined): void {
    const revoke = new AbortController()
    const { signal } = revoke
    const assertHeld = () => {
      if (signal.aborted)
        throw new PenstockError('LOG_GENERATION_STALE', `partition ${partition} was taken from this member`)
    }
    assert(!this.#held.has(partition), `partition ${partition} is assigned once, until it is revoked`)
    this.#held.set(partition, revoke)
    this.#fetcher.readers.add(partition)
    this.#options.onAssigned({
      partition,
      generation,
      position,
      revoked: signal,
      read: async (offset, bytesMax, waitMs, logId) => {
        assertHeld()
        const records = await this.#fetcher.read(partition, offset, bytesMax, waitMs, logId, signal)
        assertHeld()
        return records
      },
      commit: async (next) => {
        assertHeld()
        assertPosition(next)
        await this.#commit(partition, generation, memberId, next, signal)
      },
    })
  }

  /** Tries while the coordinator answers that it can't take it now; without an answer the generation is given up. */
  async #commit(
    partition: number,
    generation: number,
    memberId: string,
    position: GroupPosition,
    revoked: AbortSignal,
  ): Promise<void> {
    const { group, topic, sessionMs } = this.#options
    const untilMs = performance.now() + sessionMs
    const { metadata } = position
    let sent = false
    const attempt = async (): Promise<void> => {
      sent = false
      const broker = await this.#coordinatorNow()
      sent = true
      const { responses } = await broker.offsetCommit({
        groupId: group,
        groupGenerationId: generation,
        memberId,
        topics: [{ topic, partitions: [{ partition, offset: String(position.offset), metadata }] }],
      })
      answersOf(responses, topic, [partition])
    }
    const isStale = (error: unknown): boolean =>
      staleFaults.has(faultType(error)) || revoked.aborted || (sent && !isAnswer(error))
    try {
      await retry(attempt, {
        backOff: kafkaBackOff,
        clock: systemClock,
        until: revoked,
        isRetryable: (error) => !isStale(error) && performance.now() <= untilMs,
        onRetry: () => {
          this.#coordinator = undefined
        },
      })
    } catch (error) {
      const type = faultType(error)
      if (!isStale(error))
        throw new PenstockError('LOG_UNAVAILABLE', `Kafka does not take a position: ${type}`, { cause: error })
      this.#fellOut(type, sent && !isAnswer(error))
      throw new PenstockError(
        'LOG_GENERATION_STALE',
        `Kafka did not take a commit to partition ${partition}: ${type}`,
        { cause: error },
      )
    }
  }

  /** A commit showed that the group has moved on, or that it must. */
  #fellOut(type: string, unanswered: boolean): void {
    if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
    else if (unanswered) this.#abandon()
    this.#rejoin = true
    this.#revokeAll()
    this.#wake()
  }
}

/** True if Kafka itself refused the request, so that it can't take effect any more; false if nothing was heard. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && 'type' in error && typeof error.type === 'string'
}

/** Positions of a group in these partitions; none where it never committed. */
export async function positionsOf(
  coordinator: KafkaBroker,
  group: string,
  topic: string,
  partitions: readonly number[],
): Promise<Map<number, GroupPosition>> {
  const positions = new Map<number, GroupPosition>()
  if (partitions.length === 0) return positions
  const topics = [{ topic, partitions: partitions.map((partition) => ({ partition })) }]
  const { responses } = await coordinator.offsetFetch({ groupId: group, topics })
  const found = answersOf(responses, topic, partitions)
  for (const partition of partitions) {
    const { offset: text, metadata } = found.get(partition) ?? {}
    const offset = offsetFrom(text, `the position of partition ${partition}`, neverCommitted)
    if (offset !== neverCommitted) positions.set(partition, { offset, metadata: metadata ?? '' })
  }
  return positions
}

function ownedOf(memberMetadata: Buffer): number[] {
  try {
    const owned: unknown = JSON.parse(MemberMetadata.decode(memberMetadata)?.userData.toString() ?? '[]')
    return Array.isArray(owned) ? owned.filter((partition) => Number.isInteger(partition) && partition >= 0) : []
  } catch {
    return [] // another client's member: it keeps nothing
  }
}
