/**
 * The log in memory, for tests and simulations: nothing survives the process. Several logs opened on one `MemoryStore` share
 * it as processes share a real log. Time passes only through the given clock.
 */

import {
  assertOwner,
  emptyGroup,
  type GroupState,
  groupLeave,
  groupOver,
  groupStep,
} from '#pipeline/log/group/group.ts'
import { GroupRunner, type GroupStore } from '#pipeline/log/group/group-runner.ts'
import { NewsWaiters } from '#pipeline/log/group/news-waiters.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type {
  Assignment,
  BatchStamp,
  GroupMember,
  GroupPosition,
  Log,
  LogRecord,
  PartitionRange,
  RetentionPolicy,
  RetentionResult,
} from '../log.ts'
import { assertPartition, assertPosition, assertReadable, assertRecordSize, assertSameLog } from '../log-checks.ts'
import { deliveredBy, planRetention } from '../retention.ts'

interface MemoryPartition {
  first: number
  bytes: number
  records: { readonly stamp: BatchStamp; readonly value: Uint8Array }[]
}

/** What several `MemoryLog`s share. */
export class MemoryStore {
  readonly topic: string
  partitions: MemoryPartition[]
  id = 'memory-0'
  readonly groups = new Map<string, GroupState>()
  readonly positions = new Map<string, GroupPosition>()
  readonly beats = new Map<string, number>()
  readonly news = new NewsWaiters()
  readonly runners = new Set<GroupRunner>()

  constructor(topic: string, partitionCount: number) {
    this.topic = topic
    this.partitions = emptyPartitions(partitionCount)
  }

  /** What is kept goes, and another log begins under the name; positions stay, as a broker that is slow to forget them has it. */
  makeAnew(): void {
    this.id = `memory-${Number(this.id.split('-')[1]) + 1}`
    this.partitions = emptyPartitions(this.partitions.length)
    this.news.wakeAll()
  }
}

function emptyPartitions(count: number): MemoryPartition[] {
  return Array.from({ length: count }, () => ({ first: 0, bytes: 0, records: [] }))
}

export interface MemoryLogOptions {
  readonly topic?: string
  readonly partitionCount?: number | undefined
  readonly store?: MemoryStore
  readonly clock?: Clock
  readonly sessionMs?: number
  readonly recordBytesMax?: number | undefined
  /** Awaited before a record is stored, in call order of its partition; a rejection becomes the append's. */
  readonly beforeAppend?: (partition: number, stamp: BatchStamp) => Promise<void> | void
  /** Awaited after a record is stored and before its append resolves; a rejection leaves the record in the log. */
  readonly afterAppend?: (partition: number, offset: number) => Promise<void> | void
  /** Awaited before a commit is judged; a rejection becomes the commit's. */
  readonly beforeCommit?: (partition: number, position: GroupPosition) => Promise<void> | void
  /** Awaited before partitions are added. */
  readonly beforeGrow?: (partitionCount: number) => Promise<void> | void
}

export class MemoryLog implements Log, GroupStore {
  readonly store: MemoryStore
  readonly #options: MemoryLogOptions
  readonly #members = new Set<GroupRunner>()
  readonly #tails = new Map<number, Promise<unknown>>()
  readonly #recordBytesMax: number
  #closed = false

  constructor(options: MemoryLogOptions = {}) {
    this.#options = options
    this.store = options.store ?? new MemoryStore(options.topic ?? 'memory', options.partitionCount ?? 1)
    this.#recordBytesMax = options.recordBytesMax ?? limits.recordBytesMax
    const count = options.partitionCount ?? this.store.partitions.length
    // It may have grown since, to a multiple.
    if (this.store.partitions.length % count !== 0)
      throw new PenstockError(
        'LOG_PARTITIONS_MISMATCH',
        `the store has ${this.store.partitions.length} partitions, not ${count}`,
      )
  }

  get topic(): string {
    return this.store.topic
  }

  get partitionCount(): number {
    return this.store.partitions.length
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    assertRecordSize(value, this.#recordBytesMax)
    const copy = Uint8Array.from(value)
    const stored = (this.#tails.get(partition) ?? Promise.resolve()).then(async () => {
      await this.#options.beforeAppend?.(partition, stamp)
      const target = this.#partition(partition)
      target.records.push({ stamp, value: copy })
      target.bytes += copy.length
      this.store.news.wake(partition)
      return target.first + target.records.length - 1
    })
    this.#tails.set(
      partition,
      stored.catch(() => {}),
    )
    const offset = await stored
    await this.#options.afterAppend?.(partition, offset)
    return offset
  }

  async id(): Promise<string> {
    this.#assertOpen()
    return this.store.id
  }

  async join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    this.#assertOpen()
    const runner = new GroupRunner(this, {
      group,
      process: 'memory',
      clock: this.#options.clock ?? systemClock,
      logger: silentLogger,
      sessionMs: this.#options.sessionMs ?? 10_000,
      onAssigned,
    })
    this.#members.add(runner)
    await runner.start()
    return {
      close: () => {
        this.#members.delete(runner)
        return runner.close()
      },
    }
  }

  async positions(group: string): Promise<(GroupPosition | undefined)[]> {
    this.#assertOpen()
    return this.store.partitions.map((_, partition) => this.position(group, partition))
  }

  async ranges(): Promise<PartitionRange[]> {
    this.#assertOpen()
    return this.store.partitions.map(({ first, records }) => ({ first, next: first + records.length }))
  }

  async retain(policy: RetentionPolicy): Promise<RetentionResult> {
    this.#assertOpen()
    const result = { removedRecords: 0, lostRecords: 0, keptBytes: 0, overLimitBytes: 0 }
    for (const [index, partition] of this.store.partitions.entries()) {
      const delivered = deliveredBy(this.store.groups.keys(), policy, (group) => this.position(group, index))
      const records = partition.records.map(({ stamp, value }, at) => ({
        offset: partition.first + at,
        stamp,
        bytes: value.length,
      }))
      const plan = planRetention(records, { bytes: partition.bytes, delivered, policy })
      partition.records.splice(0, plan.removed)
      partition.first += plan.removed
      partition.bytes = plan.bytesLeft
      result.removedRecords += plan.removed
      result.lostRecords += plan.lost
      result.keptBytes += plan.bytesLeft
      result.overLimitBytes += Math.max(0, plan.bytesLeft - policy.partitionBytesMax)
    }
    return result
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await Promise.all([...this.#members].map((member) => member.close()))
    this.#closed = true
    this.store.news.wakeAll()
  }

  async grow(partitionCount: number): Promise<void> {
    this.#assertOpen()
    await this.#options.beforeGrow?.(partitionCount)
    const { partitions } = this.store
    partitions.push(...emptyPartitions(Math.max(0, partitionCount - partitions.length)))
  }

  async refreshPartitions(): Promise<void> {
    this.#assertOpen()
  }

  isResting(): boolean {
    return false
  }

  /** Reads as `Log.read` does, or as an assignment does if it is told how long to wait. */
  async read(
    partition: number,
    offset: number,
    bytesMax: number,
    waitMs = 0,
    logId?: string,
    stop?: AbortSignal,
  ): Promise<LogRecord[]> {
    this.#assertOpen()
    assertSameLog(this.topic, logId, this.store.id)
    const { first, records: kept } = this.#partition(partition)
    if (offset === first + kept.length && waitMs > 0)
      await this.store.news.wait(partition, this.#options.clock ?? systemClock, waitMs, stop)
    this.#assertOpen()
    assertSameLog(this.topic, logId, this.store.id)
    const source = this.#partition(partition)
    assertReadable(partition, offset, { first: source.first, next: source.first + source.records.length })
    const records: LogRecord[] = []
    let bytes = 0
    for (let at = offset - source.first; at < source.records.length; at++) {
      const record = source.records[at]
      if (record === undefined || (records.length > 0 && bytes + record.value.length > bytesMax)) break
      bytes += record.value.length
      records.push({ offset: source.first + at, stamp: record.stamp, value: Uint8Array.from(record.value) })
    }
    return records
  }

  state(group: string): GroupState {
    const kept = this.store.groups.get(group)
    return kept === undefined ? emptyGroup(this.partitionCount) : groupOver(kept, this.partitionCount)
  }

  async step(
    group: string,
    ...[member, dead]: Parameters<typeof groupStep> extends [GroupState, ...infer Rest] ? Rest : never
  ): Promise<GroupState> {
    const state = groupStep(this.state(group), member, dead)
    this.store.groups.set(group, state)
    return state
  }

  async leave(group: string, memberId: string): Promise<void> {
    this.store.groups.set(group, groupLeave(this.state(group), memberId))
    this.store.beats.delete(`${group} ${memberId}`)
  }

  async beat(group: string, memberId: string): Promise<void> {
    this.store.beats.set(`${group} ${memberId}`, this.beatOf(group, memberId) + 1)
  }

  beatOf(group: string, memberId: string): number {
    return this.store.beats.get(`${group} ${memberId}`) ?? 0
  }

  position(group: string, partition: number): GroupPosition | undefined {
    return this.store.positions.get(`${group} ${partition}`)
  }

  async commit(
    group: string,
    memberId: string,
    partition: number,
    generation: number,
    position: GroupPosition,
  ): Promise<void> {
    this.#assertOpen()
    assertPosition(position)
    await this.#options.beforeCommit?.(partition, position)
    assertOwner(this.state(group), partition, memberId, generation)
    this.store.positions.set(`${group} ${partition}`, { offset: position.offset, metadata: position.metadata })
  }

  #partition(partition: number): MemoryPartition {
    assertPartition(partition, this.partitionCount)
    return this.store.partitions[partition] as MemoryPartition
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('LOG_CLOSED', `log ${this.topic} is closed`)
  }
}
