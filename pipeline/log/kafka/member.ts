/**
 * A member of a Kafka consumer group (classic protocol) that knows the generation of what it holds.
 *
 *   join ──▶ sync ──▶ what it lost revoked, positions of what is new ──▶ assigned ──heartbeats──▶ rebalance ──▶ join
 *                                      └─ unknown member, stale generation, coordinator gone: all revoked ──▶ join
 *
 * Every commit carries the generation under which this member holds its partition, so the coordinator itself refuses a member that
 * was paused and comes back late. Heartbeats and commits have connections of their own.
 *
 * Others that join or leave take from this member only what it is to give them. What it held in one generation and is given again in the
 * very next one nobody else had in between, so its task goes on under the next. While partitions are divided anew commits wait for
 * the outcome. After a gap of a generation everything is given anew, with positions read again.
 *
 * A commit without an answer may still wait in a broker's queue, on a connection that nobody reads any more, and be taken after
 * later ones of the same generation: the position would go back. So nothing is committed under that generation again. The member
 * leaves and joins as a new one; that moves the group to another generation, under which the old commit is refused, before
 * positions are read again. (Joining under the old name may return the old generation.)
 */
import { answersOf, offsetFrom } from '#pipeline/kafka/answers.ts'
import { faultType, type KafkaBroker, type KafkaCluster, kafkaBackOff, pauseAfter } from '#pipeline/kafka/client.ts'
import { joinGroup } from '#pipeline/kafka/join-group.ts'
import { assert } from '#runtime/assert.ts'
import { Change } from '#runtime/change.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { retry } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Assignment, GroupMember, GroupPosition } from '../log.ts'
import { assertPartition, assertPosition } from '../log-checks.ts'
import { accessFault } from './access-fault.ts'
import { divisionOf, metadataOf, partitionsFrom, protocolName } from './division.ts'
import type { KafkaFetcher } from './fetcher.ts'

export interface KafkaMemberOptions {
  readonly group: string
  readonly topic: string
  readonly partitionCount: () => number
  /** As of `Log`. */
  readonly refreshPartitions: () => Promise<void>
  readonly sessionMs: number
  /** Connected, and not used for joins. */
  readonly asking: KafkaCluster
  readonly logger: Logger
  readonly onAssigned: (assignment: Assignment) => void
}

/** Longest pause between heartbeats: by these alone a member learns that others come or leave, and until then their partitions stand still. */
const heartbeatMsMax = 200

/** Of a member that holds nothing. */
const noGeneration = -1

/** Kafka's word for no position. */
const neverCommitted = -1

/** The coordinator does not accept this member under this generation any more. */
const staleFaults: ReadonlySet<string> = new Set([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'FENCED_INSTANCE_ID',
])

interface Commit {
  readonly partition: number
  readonly position: GroupPosition
  readonly revoked: AbortSignal
  readonly assertHeld: () => void
}

export class KafkaMember implements GroupMember {
  readonly #cluster: KafkaCluster
  readonly #fetcher: KafkaFetcher
  readonly #options: KafkaMemberOptions
  readonly #held = new Map<number, AbortController>()
  /** Under which this member holds what it does. */
  #generation = noGeneration
  /** Partitions are being divided anew, so nothing is committed. */
  #isDividing = false
  readonly #divided = new Change()
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
    const memberId = this.#memberId
    await Promise.all([this.#leave(memberId), this.#running])
    // The name that a join gave it only now.
    if (this.#memberId !== memberId) await this.#leave(this.#memberId)
    await this.#cluster.disconnect().catch(() => {})
  }

  /** The topic has more partitions than when they were divided last. Who leads the group divides them, and moves it by joining again. */
  divideAnew(): void {
    if (this.#isLeader) this.#joinAgain()
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#closed) {
      try {
        await this.#joinAndAssign()
        failures = 0
        await this.#heartbeats()
      } catch (error) {
        const type = faultType(error)
        if (type === 'REBALANCE_IN_PROGRESS') {
          // What is held is kept until the group says whose it is now.
          await pauseAfter(0)
          continue
        }
        const held = this.#held.size > 0
        this.#revokeAll()
        if (this.#closed) return
        // A commit may be under way, unanswered like what failed here.
        if (held && !staleFaults.has(type)) this.#abandon()
        if (type === 'UNKNOWN_MEMBER_ID' || type === 'FENCED_INSTANCE_ID') this.#memberId = ''
        if (!staleFaults.has(type)) {
          this.#coordinator = undefined
          if (failures++ > 0) this.#tellFailure(error)
        }
        await pauseAfter(staleFaults.has(type) ? 0 : failures)
        await this.#cluster.connect().catch(() => {}) // no broker answers: the next attempt fails too
      }
    }
  }

  #tellFailure(error: unknown): void {
    const { group, logger } = this.#options
    logger.warn('a group member joins again', { group, why: accessFault(error)?.text, error })
  }

  async #joinAndAssign(): Promise<void> {
    this.#isDividing = true
    this.#rejoin = false
    const broker = await this.#coordinatorNow()
    const abandonedId = this.#abandonedId
    this.#abandonedId = ''
    await this.#leave(abandonedId)
    const { generationId, partitions } = await this.#join(broker)
    if (this.#closed) return
    // A commit stayed without an answer meanwhile, which may have been sent under this generation.
    if (this.#abandonedId !== '') {
      this.#memberId = ''
      return
    }
    const given = this.#keep(generationId, partitions)
    const positions = await positionsOf(broker, this.#options.group, this.#options.topic, given)
    // Closed, or fallen out of the group by a commit for what was kept.
    if (this.#generation !== generationId) return
    for (const partition of given) this.#assign(partition, positions.get(partition))
  }

  async #join(broker: KafkaBroker): Promise<{ generationId: number; partitions: readonly number[] }> {
    const { group, topic, partitionCount, sessionMs } = this.#options
    const request = {
      groupId: group,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      memberId: this.#memberId,
      groupProtocols: [{ name: protocolName, metadata: metadataOf(topic, this.#owned) }],
    }
    const joined = await joinGroup(broker, request, (memberId) => this.#named(memberId))
    this.#memberId = joined.memberId
    const { generationId, memberId, leaderId, members } = joined
    assert(memberId !== '', 'a member that joined has a name')
    assert(Number.isInteger(generationId) && generationId >= 0, `a group has a generation, not ${generationId}`)
    this.#isLeader = leaderId === memberId
    if (this.#closed) throw new PenstockError('LOG_CLOSED', 'the member was closed while it joined')
    const groupAssignment = this.#isLeader ? divisionOf(topic, partitionCount(), members) : []
    const synced = await broker.syncGroup({ groupId: group, generationId, memberId, groupAssignment })
    const partitions = partitionsFrom(topic, synced.memberAssignment)
    // The leader has seen the topic grow before this one.
    if (partitions.some((partition) => partition >= partitionCount())) await this.#options.refreshPartitions()
    for (const partition of partitions) assertPartition(partition, partitionCount())
    assert(new Set(partitions).size === partitions.length, 'a member is assigned each partition once')
    return { generationId, partitions }
  }

  /** The join that waits for the others is under this name, so that who closes meanwhile leaves under it and waits for nobody. */
  #named(memberId: string): void {
    this.#memberId = memberId
    if (this.#closed) throw new PenstockError('LOG_CLOSED', 'the member was closed before it joined')
  }

  /** Goes on with what this member had in the generation before, and gives up the rest. @returns what is new to it */
  #keep(generationId: number, partitions: readonly number[]): readonly number[] {
    if (generationId !== this.#generation && generationId !== this.#generation + 1) this.#revokeAll()
    for (const partition of [...this.#held.keys()]) if (!partitions.includes(partition)) this.#revoke(partition)
    this.#generation = generationId
    this.#owned = partitions
    this.#endDivision()
    return partitions.filter((partition) => !this.#held.has(partition))
  }

  /** Returns when the group is to be joined again. @throws what the coordinator answers, REBALANCE_IN_PROGRESS above all */
  async #heartbeats(): Promise<void> {
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
      if (this.#closed || this.#rejoin) return
      const broker = await this.#coordinatorNow()
      await broker.heartbeat({ groupId: group, groupGenerationId: this.#generation, memberId: this.#memberId })
    }
  }

  async #coordinatorNow(): Promise<KafkaBroker> {
    this.#coordinator ??= await this.#cluster.findGroupCoordinator({ groupId: this.#options.group })
    return this.#coordinator
  }

  /** Frees what a member of this name has at once, instead of when its session ends. */
  async #leave(memberId: string): Promise<void> {
    if (memberId === '') return
    const { group: groupId, asking } = this.#options
    // Over another connection: on its own it would wait behind a join, which in turn waits for other members.
    await asking
      .findGroupCoordinator({ groupId })
      .then((broker) => broker.leaveGroup({ groupId, memberId }))
      .catch(() => {}) // its session ends by itself then
  }

  #revokeAll(): void {
    for (const partition of [...this.#held.keys()]) this.#revoke(partition)
    this.#generation = noGeneration
    this.#endDivision()
  }

  #revoke(partition: number): void {
    const held = this.#held.get(partition)
    this.#held.delete(partition)
    this.#fetcher.readers.delete(partition)
    held?.abort()
  }

  /** Commits that waited go on, or find that their partition is gone. */
  #endDivision(): void {
    this.#isDividing = false
    this.#divided.happened()
  }

  /** Ends this membership for good: the next join is another member's. */
  #abandon(): void {
    if (this.#memberId !== '') this.#abandonedId = this.#memberId
    this.#memberId = ''
    this.#coordinator = undefined
  }

  #assign(partition: number, position: GroupPosition | undefined): void {
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
      generation: this.#generation,
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
        await this.#commit({ partition, position: next, revoked: signal, assertHeld })
      },
    })
  }

  /**
   * Tries while the coordinator answers that it can't take it now, and across divisions that leave the partition here; without an answer the
   * generation is given up.
   */
  async #commit({ partition, position, revoked, assertHeld }: Commit): Promise<void> {
    const untilMs = performance.now() + this.#options.sessionMs
    let sentUnder: number | undefined
    let sentAs = ''
    const attempt = async (): Promise<void> => {
      sentUnder = undefined
      while (this.#isDividing && !revoked.aborted) await this.#divided.wait(systemClock, revoked)
      const broker = await this.#coordinatorNow()
      assertHeld()
      sentUnder = this.#generation
      sentAs = this.#memberId
      await this.#send(broker, partition, position)
    }
    const isUnanswered = (error: unknown): boolean => sentUnder !== undefined && !isAnswer(error)
    try {
      await retry(attempt, {
        backOff: kafkaBackOff,
        clock: systemClock,
        isRetryable: (error) => {
          if (revoked.aborted || isUnanswered(error)) return false
          if (this.#isOvertaken(error, sentUnder)) return true
          return !staleFaults.has(faultType(error)) && performance.now() <= untilMs
        },
        onRetry: (error) => {
          if (!this.#isOvertaken(error, sentUnder)) this.#coordinator = undefined
          else if (!this.#isDividing && sentUnder === this.#generation) this.#joinAgain()
        },
        until: revoked,
      })
    } catch (error) {
      const type = faultType(error)
      // Where the group has a later generation by now, it is refused under the one it was sent under.
      const mayLand = isUnanswered(error) && this.#generation <= (sentUnder ?? noGeneration)
      if (!mayLand && !revoked.aborted && !staleFaults.has(type))
        throw new PenstockError('LOG_UNAVAILABLE', `Kafka does not take a position: ${type}`, { cause: error })
      if (mayLand || !revoked.aborted) this.#fallOut(type, mayLand && sentAs === this.#memberId)
      throw new PenstockError(
        'LOG_GENERATION_STALE',
        `Kafka did not take a commit to partition ${partition}: ${type}`,
        { cause: error },
      )
    }
  }

  async #send(broker: KafkaBroker, partition: number, { offset, metadata }: GroupPosition): Promise<void> {
    const { group, topic } = this.#options
    const { responses } = await broker.offsetCommit({
      groupId: group,
      groupGenerationId: this.#generation,
      memberId: this.#memberId,
      topics: [{ topic, partitions: [{ partition, offset: String(offset), metadata }] }],
    })
    answersOf(responses, topic, [partition])
  }

  /** True if the coordinator refused a commit only since partitions are divided anew: this one may well stay here. */
  #isOvertaken(error: unknown, sentUnder: number | undefined): boolean {
    const type = faultType(error)
    if (type === 'REBALANCE_IN_PROGRESS') return true
    return type === 'ILLEGAL_GENERATION' && (this.#isDividing || sentUnder !== this.#generation)
  }

  #joinAgain(): void {
    this.#rejoin = true
    this.#wake()
  }

  /** A commit showed that the group has moved on, or that it must. @param unanswered its outcome is not known, and the member still the one that sent it */
  #fallOut(type: string, unanswered: boolean): void {
    if (type === 'UNKNOWN_MEMBER_ID') this.#memberId = ''
    else if (unanswered) this.#abandon()
    this.#revokeAll()
    this.#joinAgain()
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
