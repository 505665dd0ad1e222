import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { GroupMemberState, GroupState } from './group.ts'
import { GroupRunner, type GroupStore } from './group-runner.ts'
import { LmdbStore, type LmdbStoreOptions } from './lmdb-store.ts'
import { LmdbWriter } from './lmdb-writer-client.ts'
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
} from './log.ts'
import { assertPartition, assertPosition, assertRecordSize } from './log-checks.ts'
import { NewsWaiters } from './news-waiters.ts'
import type { LmdbLogOptions } from './open-log.ts'
import { processIdentity } from './process-identity.ts'

/** How often a waiting reader looks for what other processes appended: often after news, then ever less often. */
const pollMsMin = 2
const pollMsMax = 16

const sessionMsDefault = 10_000

/** Opens the embedded log of one topic, in a folder of its own below `dataDir`. @throws LOG_PARTITIONS_MISMATCH, DEPENDENCY_MISSING */
export async function openLmdbLog(options: LmdbLogOptions): Promise<Log> {
  const lmdb = await import('lmdb').catch((cause) => {
    throw new PenstockError('DEPENDENCY_MISSING', 'the embedded log needs the package `lmdb`', { cause })
  })
  const path = join(options.dataDir, options.topic.replace(/[^A-Za-z0-9._-]/g, '_'))
  mkdirSync(path, { recursive: true })
  const { topic, partitionCount } = options
  const storeOptions: LmdbStoreOptions = { path, topic, partitionCount }
  const store = new LmdbStore(lmdb, storeOptions)
  try {
    store.checkFormat(topic)
  } catch (error) {
    await store.close()
    throw error
  }
  return new LmdbLog(options, store, new LmdbWriter(storeOptions))
}

/** Reads on the caller's thread, straight from the map; writes on a thread of its own (`lmdb-writer.ts`). */
class LmdbLog implements Log, GroupStore {
  readonly topic: string
  readonly partitionCount: number
  readonly #options: LmdbLogOptions
  readonly #clock: Clock
  readonly #store: LmdbStore
  readonly #writer: LmdbWriter
  readonly #members = new Set<GroupRunner>()
  readonly #news = new NewsWaiters()
  readonly #knownNext: number[]
  #pollMs = pollMsMin
  #cancelPoll: (() => void) | undefined
  #closed = false

  constructor(options: LmdbLogOptions, store: LmdbStore, writer: LmdbWriter) {
    this.topic = options.topic
    this.partitionCount = options.partitionCount
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#store = store
    this.#writer = writer
    this.#knownNext = new Array(options.partitionCount).fill(0)
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    assertRecordSize(value, limits.recordBytesMax)
    const offset = await this.#writer.run({ kind: 'append', partition, stamp, value })
    this.#news.wake(partition)
    return offset
  }

  async join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    this.#assertOpen()
    const runner = new GroupRunner(this, {
      group,
      process: processIdentity(),
      clock: this.#clock,
      logger: this.#options.logger,
      sessionMs: this.#options.sessionMs ?? sessionMsDefault,
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
    this.#store.refresh()
    return Array.from({ length: this.partitionCount }, (_, partition) => this.#store.position(group, partition))
  }

  async ranges(): Promise<PartitionRange[]> {
    this.#assertOpen()
    this.#store.refresh()
    return Array.from({ length: this.partitionCount }, (_, partition) => {
      const { first, next } = this.#store.partition(partition)
      return { first, next }
    })
  }

  async retain(policy: RetentionPolicy): Promise<RetentionResult> {
    this.#assertOpen()
    const result = { removedRecords: 0, lostRecords: 0 }
    for (let partition = 0; partition < this.partitionCount; partition++) {
      let removed: number
      do {
        const plan = await this.#writer.run({ kind: 'retain', partition, policy })
        removed = plan.removed
        result.removedRecords += removed
        result.lostRecords += plan.lost
      } while (removed > 0)
    }
    return result
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await Promise.all([...this.#members].map((member) => member.close()))
    this.#closed = true
    this.#cancelPoll?.()
    this.#news.wakeAll()
    await this.#writer.close()
    await this.#store.close()
  }

  /** Reads as `Log.read` does, or as an assignment does if it is told how long to wait. */
  async read(
    partition: number,
    offset: number,
    bytesMax: number,
    waitMs = 0,
    stop?: AbortSignal,
  ): Promise<LogRecord[]> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    this.#store.refresh()
    const { next } = this.#store.partition(partition)
    this.#knownNext[partition] = next
    if (offset === next) {
      if (waitMs <= 0) return []
      this.#poll()
      await this.#news.wait(partition, this.#clock, waitMs, stop)
      if (stop?.aborted) return []
      this.#assertOpen()
      this.#store.refresh()
    }
    return this.#store.read(partition, offset, bytesMax)
  }

  state(group: string): GroupState {
    this.#assertOpen()
    this.#store.refresh()
    return this.#store.group(group)
  }

  step(group: string, member: GroupMemberState, dead: ReadonlySet<string>): Promise<GroupState> {
    return this.#writer.run({ kind: 'step', group, member, dead })
  }

  async leave(group: string, memberId: string): Promise<void> {
    await this.#writer.run({ kind: 'leave', group, memberId })
  }

  async beat(group: string, memberId: string): Promise<void> {
    await this.#writer.run({ kind: 'beat', group, memberId })
  }

  beatOf(group: string, memberId: string): number {
    return this.#store.beat(group, memberId)
  }

  position(group: string, partition: number): GroupPosition | undefined {
    this.#store.refresh()
    return this.#store.position(group, partition)
  }

  async commit(
    group: string,
    memberId: string,
    partition: number,
    generation: number,
    position: GroupPosition,
  ): Promise<void> {
    assertPosition(position)
    await this.#writer.run({ kind: 'commit', group, memberId, partition, generation, position })
  }

  /** Looks for other processes' appends as long as someone waits; cost per look: one read of 24 bytes a waiting partition. */
  #poll(): void {
    if (this.#cancelPoll !== undefined) return
    this.#cancelPoll = this.#clock.after(this.#pollMs, () => {
      this.#cancelPoll = undefined
      if (this.#closed || this.#news.isEmpty) return
      this.#pollMs = Math.min(pollMsMax, this.#pollMs * 2)
      this.#store.refresh()
      for (const partition of [...this.#news.partitions]) {
        if (this.#store.partition(partition).next === this.#knownNext[partition]) continue
        this.#pollMs = pollMsMin
        this.#news.wake(partition)
      }
      if (!this.#news.isEmpty) this.#poll()
    })
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('LOG_CLOSED', `log ${this.topic} is closed`)
  }
}
