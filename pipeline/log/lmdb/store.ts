/**
 * Layout of the embedded log: one LMDB environment a topic, format version 1. Numbers in keys are big-endian, so that keys sort
 * by partition, then offset.
 *
 *   database     key                          value
 *   values       partition u32 · offset u64   the batch as it was appended
 *   stamps       partition u32 · offset u64   its stamp and length, JSON
 *   partitions   partition u32                first offset kept, next offset, bytes kept: three doubles, little-endian
 *   groups       name                         revision (double) and the rest of its state as JSON, see `group.ts`
 *   positions    name · 00 · partition u32    JSON [offset, metadata]
 *   beats        name · 00 · member           a double that the member raises while it lives
 *   format       "format"                     JSON {version, topic, partitionCount, id}
 *
 * Records at or beyond a partition's next offset do not exist. Every write is one synchronous transaction that is on disk when
 * it returns, so a crash leaves all of it or none. Opening, writing and closing happen inside the gate beside it (`lmdb-gate.ts`).
 */
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Database, RootDatabase } from 'lmdb'
import { emptyGroup, type GroupState, groupOver } from '#pipeline/log/group/group.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { BatchStamp, GroupPosition, LogRecord, PartitionRange } from '../log.ts'
import { assertReadable } from '../log-checks.ts'
import type { LogContents } from '../log-copy.ts'
import type { KeptRecord } from '../retention.ts'
import { LmdbGate } from './gate.ts'
import { formatFrom, groupFrom, type LogFormat, positionFrom, stampFrom } from './kept-json.ts'

const formatVersion = 1

/** Address space, not disk: the file grows as it is filled, and never needs to be mapped anew. */
const fileBytesMax = 2 ** 40

const formatKey = Buffer.from('format')

type Bytes = Database<Buffer, Uint8Array>

export interface LmdbStoreOptions {
  /** Folder of the environment. */
  readonly path: string
  readonly topic: string
  /** The environment's own, once its format is checked. */
  readonly partitionCount: number
  /** Bytes of records above which appends are refused; 0: as many as the disk holds. */
  readonly bytesMax: number
}

/** Where a partition begins and ends, and what it holds. */
export interface PartitionMeta extends PartitionRange {
  readonly bytes: number
}

/** The environment as it was at one moment. */
export interface LmdbSnapshot extends Pick<LogContents, 'ranges' | 'groups'> {
  /** One of `ranges`. */
  record(partition: number, offset: number): LogRecord
  close(): void
}

/** The environment as one thread sees it. Methods named `put…` and `remove…` only inside `transaction`. */
export class LmdbStore {
  readonly path: string
  /** Its own, once its format is checked; as of the last `lookForGrowth`. */
  partitionCount: number
  /** Of this very environment, once its format is checked. */
  id = ''
  readonly #gate: LmdbGate
  readonly #inode: number | undefined
  readonly #env: RootDatabase<Buffer, Uint8Array>
  readonly #format: Bytes
  readonly #values: Bytes
  readonly #stamps: Bytes
  readonly #partitions: Bytes
  readonly #groups: Bytes
  readonly #positions: Bytes
  readonly #beats: Bytes
  readonly #states = new Map<string, { revision: number; state: GroupState }>()

  constructor(lmdb: typeof import('lmdb'), options: LmdbStoreOptions) {
    this.path = options.path
    this.partitionCount = options.partitionCount
    const bytes = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const
    this.#gate = new LmdbGate(lmdb, options.path)
    const opened = this.#gate.within(() => {
      const env = lmdb.open<Buffer, Uint8Array>({
        path: options.path,
        mapSize: fileBytesMax,
        // Off: a transaction then is on disk when it returns, and a failed sync is a failed commit instead of silence.
        overlappingSync: false,
        noSubdir: false,
        maxReaders: 1024,
        maxDbs: 12,
        ...bytes,
      })
      const database = (name: string): Bytes => env.openDB<Buffer, Uint8Array>({ name, ...bytes })
      return {
        env,
        format: database('format'),
        values: database('values'),
        stamps: database('stamps'),
        partitions: database('partitions'),
        groups: database('groups'),
        positions: database('positions'),
        beats: database('beats'),
      }
    })
    this.#inode = inodeOf(options.path)
    this.#env = opened.env
    this.#format = opened.format
    this.#values = opened.values
    this.#stamps = opened.stamps
    this.#partitions = opened.partitions
    this.#groups = opened.groups
    this.#positions = opened.positions
    this.#beats = opened.beats
  }

  /**
   * Creates the format record, or checks it.
   * @param partitionCount undefined: as many as there are
   * @param id of a log that is made; left out: a new one
   * @throws LOG_PARTITIONS_MISMATCH, LOG_DATA_UNREADABLE
   */
  checkFormat(topic: string, partitionCount: number | undefined, id: string = randomUUID()): void {
    const made: LogFormat = { version: formatVersion, topic, partitionCount: this.partitionCount }
    const kept = (): LogFormat | undefined => {
      const value = this.#format.get(formatKey)
      return value === undefined ? undefined : formatFrom(value)
    }
    const before = kept()
    // Earlier versions made logs without an id.
    if (before === undefined || (before.version === formatVersion && before.id === undefined)) {
      this.transaction(() => {
        const format = { id, ...(kept() ?? made) }
        this.#format.putSync(formatKey, Buffer.from(JSON.stringify(format)))
      })
      this.refresh()
    }
    const found = kept() ?? made
    this.id = found.id ?? ''
    if (partitionCount === undefined) this.partitionCount = found.partitionCount
    if (found.version === formatVersion && found.topic === topic && found.partitionCount % this.partitionCount === 0) {
      this.partitionCount = found.partitionCount
      return
    }
    const both =
      `the log in ${this.path} holds topic ${found.topic} with ${found.partitionCount} partitions in format ${found.version}; ` +
      `wanted is topic ${topic} with ${this.partitionCount} in format ${formatVersion}`
    if (found.version !== formatVersion)
      throw new PenstockError(
        'LOG_DATA_UNREADABLE',
        `${both}. Run the version of Penstock that wrote it until all is delivered, then move the folder away`,
      )
    throw new PenstockError(
      'LOG_PARTITIONS_MISMATCH',
      `${both}. Leave PENSTOCK_PARTITIONS out, or set it to ${found.partitionCount}; penstock grow-partitions makes them more`,
    )
  }

  /** Sees partitions that others have added. Cost: one small record. */
  lookForGrowth(): void {
    const value = this.#format.get(formatKey)
    if (value === undefined) return
    const { partitionCount } = formatFrom(value)
    assert(partitionCount >= this.partitionCount, `of ${this.partitionCount} partitions none is taken away again`)
    this.partitionCount = partitionCount
  }

  /** @param partitionCount no fewer than there are */
  putPartitionCount(partitionCount: number): void {
    const value = this.#format.get(formatKey)
    assert(value !== undefined, 'a log that grows has a format')
    const format: LogFormat = { ...formatFrom(value), partitionCount }
    this.#format.putSync(formatKey, Buffer.from(JSON.stringify(format)))
    this.partitionCount = partitionCount
  }

  /** False once the folder was removed: what is written is then gone with the last process that has it open. */
  isInPlace(): boolean {
    return inodeOf(this.path) === this.#inode
  }

  /** Bytes of all records that are kept. Cost: a look at each partition. */
  bytes(): number {
    this.lookForGrowth()
    let bytes = 0
    for (let partition = 0; partition < this.partitionCount; partition++) bytes += this.partition(partition).bytes
    return bytes
  }

  /** Runs `action` as one transaction that is on disk when this returns; an exception leaves nothing behind. */
  transaction<T>(action: () => T): T {
    this.#states.clear()
    return this.#gate.within(() => this.#env.transactionSync(action))
  }

  /** Lets the next reads see what others have committed since. */
  refresh(): void {
    this.#env.resetReadTxn()
  }

  /** What there is at this moment, for as long as it is open: pages that it needs are not used again meanwhile. */
  snapshot(): LmdbSnapshot {
    this.refresh()
    this.lookForGrowth()
    const transaction = this.#env.useReadTransaction()
    const at = { transaction }
    const groups = [...this.#groups.getKeys(at)].map((key) => Buffer.from(key).toString())
    const partitions = Array.from({ length: this.partitionCount }, (_, partition) => partition)
    return {
      ranges: partitions.map((partition) => {
        const { first, next } = metaFrom(partition, this.#partitions.get(numberKey(partition), at))
        return { first, next }
      }),
      groups: groups.map((group) => ({
        group,
        positions: partitions.map((partition) => {
          const value = this.#positions.get(namedKey(group, numberKey(partition)), at)
          return value && positionFrom(value)
        }),
      })),
      record: (partition, offset) => {
        const key = recordKey(partition, offset)
        const kept = this.#stamps.get(key, at)
        const value = this.#values.get(key, at)
        assert(kept !== undefined && value !== undefined, `record ${offset} of partition ${partition} is kept`)
        return { offset, stamp: stampFrom(kept)[1], value }
      },
      close: () => transaction.done(),
    }
  }

  partition(partition: number): PartitionMeta {
    return metaFrom(partition, this.#partitions.get(numberKey(partition)))
  }

  putPartition(partition: number, { first, next, bytes }: PartitionMeta): void {
    assert(first <= next && bytes >= 0, `partition ${partition} from ${first} to ${next} is none of ${bytes} bytes`)
    const value = Buffer.alloc(24)
    value.writeDoubleLE(first, 0)
    value.writeDoubleLE(next, 8)
    value.writeDoubleLE(bytes, 16)
    this.#partitions.putSync(numberKey(partition), value)
  }

  putRecord(partition: number, offset: number, stamp: BatchStamp, value: Uint8Array): void {
    const key = recordKey(partition, offset)
    this.#values.putSync(key, value as Buffer)
    this.#stamps.putSync(key, Buffer.from(JSON.stringify([value.length, stamp])))
  }

  removeRecord(partition: number, offset: number): void {
    const key = recordKey(partition, offset)
    this.#values.removeSync(key)
    this.#stamps.removeSync(key)
  }

  /** Records from `offset` on, copied out of the map. @throws LOG_POSITION_LOST */
  read(partition: number, offset: number, bytesMax: number): LogRecord[] {
    const range = this.partition(partition)
    assertReadable(partition, offset, range)
    const records: LogRecord[] = []
    let bytes = 0
    for (let at = offset; at < range.next; at++) {
      const kept = this.kept(partition, at)
      if (records.length > 0 && bytes + kept.bytes > bytesMax) break
      const value = this.#values.getBinary(recordKey(partition, at))
      assert(
        value?.length === kept.bytes,
        `record ${at} of partition ${partition} has the ${kept.bytes} bytes of its stamp`,
      )
      bytes += kept.bytes
      records.push({ offset: at, stamp: kept.stamp, value })
    }
    return records
  }

  /** A record without its value. */
  kept(partition: number, offset: number): KeptRecord {
    const value = this.#stamps.get(recordKey(partition, offset))
    assert(value !== undefined, `record ${offset} of partition ${partition} is kept`)
    const [bytes, stamp] = stampFrom(value)
    return { offset, stamp, bytes }
  }

  /** Names of all groups that ever joined. */
  groups(): string[] {
    return [...this.#groups.getKeys()].map((key) => Buffer.from(key).toString())
  }

  group(name: string): GroupState {
    const value = this.#groups.get(Buffer.from(name))
    if (value === undefined) return emptyGroup(this.partitionCount)
    const revision = value.readDoubleLE(0)
    const cached = this.#states.get(name)
    if (cached?.revision === revision && cached.state.partitions.length >= this.partitionCount) return cached.state
    const state = groupOver({ ...groupFrom(value.subarray(8)), revision }, this.partitionCount)
    this.#states.set(name, { revision, state })
    return state
  }

  putGroup(name: string, { revision, members, partitions }: GroupState): void {
    const head = Buffer.alloc(8)
    head.writeDoubleLE(revision)
    this.#groups.putSync(Buffer.from(name), Buffer.concat([head, Buffer.from(JSON.stringify({ members, partitions }))]))
  }

  position(group: string, partition: number): GroupPosition | undefined {
    const value = this.#positions.get(namedKey(group, numberKey(partition)))
    if (value === undefined) return undefined
    return positionFrom(value)
  }

  putPosition(group: string, partition: number, { offset, metadata }: GroupPosition): void {
    this.#positions.putSync(namedKey(group, numberKey(partition)), Buffer.from(JSON.stringify([offset, metadata])))
  }

  beat(group: string, memberId: string): number {
    return this.#beats.get(namedKey(group, Buffer.from(memberId)))?.readDoubleLE(0) ?? 0
  }

  /** @param beat `undefined` removes it */
  putBeat(group: string, memberId: string, beat: number | undefined): void {
    const key = namedKey(group, Buffer.from(memberId))
    if (beat === undefined) {
      this.#beats.removeSync(key)
      return
    }
    const value = Buffer.alloc(8)
    value.writeDoubleLE(beat)
    this.#beats.putSync(key, value)
  }

  close(): Promise<void> {
    return this.#gate.within(() => this.#env.close())
  }
}

/** The folder of a topic's environment below `dataDir`. */
export function lmdbFolder(dataDir: string, topic: string): string {
  return join(dataDir, topic.replace(/[^A-Za-z0-9._-]/g, '_'))
}

function metaFrom(partition: number, value: Buffer | undefined): PartitionMeta {
  if (value === undefined) return { first: 0, next: 0, bytes: 0 }
  const meta = { first: value.readDoubleLE(0), next: value.readDoubleLE(8), bytes: value.readDoubleLE(16) }
  assert(meta.first >= 0 && meta.first <= meta.next && meta.bytes >= 0, `partition ${partition} begins before it ends`)
  return meta
}

function inodeOf(path: string): number | undefined {
  return statSync(join(path, 'data.mdb'), { throwIfNoEntry: false })?.ino
}

function numberKey(value: number): Buffer {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(value)
  return key
}

function recordKey(partition: number, offset: number): Buffer {
  const key = Buffer.allocUnsafe(12)
  key.writeUInt32BE(partition, 0)
  key.writeUInt32BE(Math.floor(offset / 2 ** 32), 4)
  key.writeUInt32BE(offset % 2 ** 32, 8)
  return key
}

function namedKey(name: string, rest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(name), Buffer.of(0), rest])
}
