import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { GroupMemberState, GroupState } from '#pipeline/log/group/group.ts'
import { GroupRunner, type GroupStore } from '#pipeline/log/group/group-runner.ts'
import { NewsWaiters } from '#pipeline/log/group/news-waiters.ts'
import { processIdentity } from '#pipeline/log/group/process-identity.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { FolderUse } from '#runtime/folder-use.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type {
  Assignment,
  BatchStamp,
  GroupMember,
  GroupPosition,
  LogRecord,
  PartitionRange,
  RetentionPolicy,
  RetentionResult,
} from '../log.ts'
import { assertPartition, assertPosition, assertRecordSize, assertSameLog } from '../log-checks.ts'
import type { CopyableLog, LogHold, LogSnapshot } from '../log-copy.ts'
import type { LmdbLogOptions } from './../log-options.ts'
import { partitionCountDefault } from '../partition-count.ts'
import type { RetentionPlan } from '../retention.ts'
import { LmdbChanges } from './changes.ts'
import { holdAll, recordsOf } from './copy.ts'
import { joinProcessSpace } from './process-space.ts'
import { LmdbStore, type LmdbStoreOptions, lmdbFolder } from './store.ts'
import { LmdbWriter } from './writer-client.ts'

/**
 * How often a waiting reader looks for what other processes appended: often after news, then ever less often, and after some looks in vain
 * only once the file has been written to. They last some 100 ms, within which a write that was told is there for readers.
 */
const pollBackOff: BackOff = { firstMs: 2, factor: 2, maxMs: 16, jitter: 0 }
const looksInVainMax = 8

const sessionMsDefault = 10_000

/** Opens the embedded log of one topic, in a folder of its own below `dataDir`. @throws LOG_PARTITIONS_MISMATCH, LOG_DATA_UNREADABLE, LOG_LOCKED, DEPENDENCY_MISSING */
export async function openLmdbLog(options: LmdbLogOptions): Promise<CopyableLog> {
  const lmdb = await import('lmdb').catch((cause) => {
    throw new PenstockError('DEPENDENCY_MISSING', 'the embedded log needs the package `lmdb`', { cause })
  })
  const path = lmdbFolder(options.dataDir, options.topic)
  const { topic, partitionCount, bytesMax = 0 } = options
  const storeOptions: LmdbStoreOptions = {
    path,
    topic,
    partitionCount: partitionCount ?? partitionCountDefault(),
    bytesMax,
  }
  const { store, use } = await openStore(lmdb, storeOptions)
  try {
    store.checkFormat(topic, partitionCount)
  } catch (error) {
    await store.close()
    use.end()
    throw error
  }
  return new LmdbLog(options, store, use, new LmdbWriter({ ...storeOptions, partitionCount: store.partitionCount }))
}

/** Makes the folder if there is none, and opens what is in it; says what to do about what can't be opened. */
async function openStore(
  lmdb: typeof import('lmdb'),
  options: LmdbStoreOptions,
): Promise<{ readonly store: LmdbStore; readonly use: FolderUse }> {
  const { path } = options
  let use: FolderUse | undefined
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 })
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK)
    use = await joinProcessSpace(path)
    for (const name of ['data.mdb', 'lock.mdb', 'gate.mdb', 'gate.mdb-lock'])
      if (existsSync(join(path, name))) accessSync(join(path, name), constants.R_OK | constants.W_OK)
    for (const name of ['data.mdb', 'gate.mdb']) assertLmdbFile(join(path, name))
    return { store: new LmdbStore(lmdb, options), use }
  } catch (cause) {
    use?.end()
    if (isPenstockError(cause)) throw cause
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    const advice =
      code === 'EACCES' || code === 'EPERM' || code === 'EROFS'
        ? `this user may not write there: give the folder to the user that runs Penstock (chown -R), or set PENSTOCK_DATA_DIR`
        : `the files are damaged or not Penstock's: restore them from a backup, or move the folder away to begin with an empty log; ` +
          `what was not delivered yet is then lost`
    throw new PenstockError(
      'LOG_DATA_UNREADABLE',
      `the log in ${path} cannot be opened (${String(cause)}); ${advice}`,
      {
        cause,
      },
    )
  }
}

/** LMDB itself crashes the process on a file that is not its own. Each file begins with a page header of 16 or 24 bytes (by version) and these. */
const lmdbMagic = 0xbeefc0de

function assertLmdbFile(file: string): void {
  if (!existsSync(file)) return
  const descriptor = openSync(file, 'r')
  try {
    const head = Buffer.alloc(28)
    const length = readSync(descriptor, head, 0, head.length, 0)
    if (length > 0 && (length < head.length || ![16, 24].some((at) => head.readUInt32LE(at) === lmdbMagic)))
      throw new Error('not an LMDB file')
  } finally {
    closeSync(descriptor)
  }
}

/** Reads on the caller's thread, straight from the map; writes on a thread of its own (`lmdb-writer.ts`). */
class LmdbLog implements CopyableLog, GroupStore {
  readonly topic: string
  readonly #options: LmdbLogOptions
  readonly #clock: Clock
  readonly #store: LmdbStore
  readonly #use: FolderUse
  readonly #writer: LmdbWriter
  readonly #members = new Set<GroupRunner>()
  readonly #news = new NewsWaiters()
  readonly #knownNext: number[]
  readonly #changes: LmdbChanges
  readonly #polls = new Pauses(pollBackOff)
  #looksInVain = 0
  #cancelPoll: (() => void) | undefined
  #closed = false

  constructor(options: LmdbLogOptions, store: LmdbStore, use: FolderUse, writer: LmdbWriter) {
    this.topic = options.topic
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#store = store
    this.#use = use
    this.#writer = writer
    this.#changes = new LmdbChanges(join(store.path, 'data.mdb'))
    this.#knownNext = new Array(store.partitionCount).fill(0)
  }

  get partitionCount(): number {
    return this.#store.partitionCount
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    this.#assertOpen()
    assertPartition(partition, this.partitionCount)
    assertRecordSize(value, limits.recordBytesMax)
    const offset = await this.#writer.run({ kind: 'append', partition, stamp, value })
    assert(isCount(offset), `the writer says where a record lies, and not ${offset}`)
    this.#news.wake(partition)
    return offset
  }

  async id(): Promise<string> {
    this.#assertOpen()
    return this.#store.id
  }

  join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    return this.#join(group, onAssigned, false)
  }

  async hold(): Promise<LogHold> {
    await this.refreshPartitions()
    return await holdAll(
      this.#store.groups(),
      this.partitionCount,
      (group, onAssigned) => this.#join(group, onAssigned, true),
      (group) => this.state(group),
    )
  }

  snapshot(): LogSnapshot {
    this.#assertOpen()
    const { ranges, groups, record, close } = this.#store.snapshot()
    return { topic: this.topic, id: this.#store.id, ranges, groups, records: () => recordsOf(ranges, record), close }
  }

  async #join(group: string, onAssigned: (assignment: Assignment) => void, holds: boolean): Promise<GroupMember> {
    this.#assertOpen()
    const runner = new GroupRunner(this, {
      group,
      process: processIdentity(),
      clock: this.#clock,
      logger: this.#options.logger,
      sessionMs: this.#options.sessionMs ?? sessionMsDefault,
      holds,
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
    await this.refreshPartitions()
    return Array.from({ length: this.partitionCount }, (_, partition) => this.#store.position(group, partition))
  }

  async ranges(): Promise<PartitionRange[]> {
    await this.refreshPartitions()
    return Array.from({ length: this.partitionCount }, (_, partition) => {
      const { first, next } = this.#store.partition(partition)
      return { first, next }
    })
  }

  async retain(policy: RetentionPolicy): Promise<RetentionResult> {
    this.#assertOpen()
    const result = { removedRecords: 0, lostRecords: 0, keptBytes: 0, overLimitBytes: 0 }
    for (let partition = 0; partition < this.partitionCount; partition++) {
      let plan: RetentionPlan
      do {
        plan = await this.#writer.run({ kind: 'retain', partition, policy })
        assert(plan.lost <= plan.removed, `of ${plan.removed} records that were removed ${plan.lost} are not lost`)
        result.removedRecords += plan.removed
        result.lostRecords += plan.lost
      } while (plan.removed > 0)
      result.keptBytes += plan.bytesLeft
      result.overLimitBytes += Math.max(0, plan.bytesLeft - policy.partitionBytesMax)
    }
    return result
  }

  async grow(partitionCount: number): Promise<void> {
    this.#assertOpen()
    await this.#writer.run({ kind: 'grow', partitionCount })
    await this.refreshPartitions()
  }

  async refreshPartitions(): Promise<void> {
    this.#assertOpen()
    this.#store.refresh()
    this.#store.lookForGrowth()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await Promise.all([...this.#members].map((member) => member.close()))
    this.#closed = true
    this.#cancelPoll?.()
    this.#changes.close()
    this.#news.wakeAll()
    await this.#writer.close()
    await this.#store.close()
    this.#use.end()
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
    assertSameLog(this.topic, logId, this.#store.id)
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
    const state = this.#store.group(group)
    // Another process has added partitions, and divided them.
    if (state.partitions.length > this.partitionCount) this.#store.lookForGrowth()
    return state
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

  isResting(): boolean {
    return this.#changes.reliable
  }

  /** Looks for other processes' appends as long as someone waits; cost per look: one read of 24 bytes a waiting partition. */
  #poll(): void {
    if (this.#cancelPoll !== undefined || this.#changes.reliable) return
    this.#cancelPoll = this.#clock.after(this.#polls.nextMs(), () => this.#look())
  }

  #look(): void {
    this.#cancelPoll?.()
    this.#cancelPoll = undefined
    if (this.#closed || this.#news.isEmpty) return
    this.#looksInVain++
    // Before this look, so that no write falls between the two.
    if (this.#looksInVain >= looksInVainMax) this.#changes.tellNext(() => this.#written())
    this.#store.refresh()
    for (const partition of [...this.#news.partitions]) {
      if (this.#store.partition(partition).next === this.#knownNext[partition]) continue
      this.#lookOften()
      this.#news.wake(partition)
    }
    if (!this.#news.isEmpty) this.#poll()
  }

  #lookOften(): void {
    this.#polls.reset()
    this.#looksInVain = 0
    // Each write would be told while many are read.
    this.#changes.close()
  }

  #written(): void {
    this.#lookOften()
    this.#look()
    for (const member of this.#members) member.look()
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('LOG_CLOSED', `log ${this.topic} is closed`)
  }
}
