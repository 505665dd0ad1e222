/**
 * The thread that writes the embedded log. It takes a group of commands, runs them in one transaction and answers when that is
 * on disk; what arrives meanwhile is the next group. A thread of its own, because the write lock is shared with other
 * processes: it must not be held while a busy event loop gets round to it, nor may waiting for it stall one.
 */
import { statfsSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import {
  assertOwner,
  type GroupMemberState,
  type GroupState,
  groupLeave,
  groupStep,
} from '#pipeline/log/group/group.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { BatchStamp, GroupPosition, RetentionPolicy } from '../log.ts'
import { deliveredBy, type KeptRecord, planRetention, type RetentionPlan } from '../retention.ts'
import { LmdbStore, type LmdbStoreOptions } from './store.ts'

export type WriterCommand =
  | { readonly kind: 'append'; readonly partition: number; readonly stamp: BatchStamp; readonly value: Uint8Array }
  | {
      readonly kind: 'commit'
      readonly group: string
      readonly memberId: string
      readonly partition: number
      readonly generation: number
      readonly position: GroupPosition
    }
  | {
      readonly kind: 'step'
      readonly group: string
      readonly member: GroupMemberState
      readonly dead: ReadonlySet<string>
    }
  | { readonly kind: 'leave'; readonly group: string; readonly memberId: string }
  | { readonly kind: 'beat'; readonly group: string; readonly memberId: string }
  | { readonly kind: 'retain'; readonly partition: number; readonly policy: RetentionPolicy }
  | { readonly kind: 'grow'; readonly partitionCount: number }

/** Result of each kind of command. */
export interface WriterResults {
  append: number
  commit: undefined
  step: GroupState
  leave: undefined
  beat: undefined
  retain: RetentionPlan
  grow: undefined
}

export type WriterAnswer =
  | { readonly ok: true; readonly result: WriterResults[WriterCommand['kind']] }
  | { readonly ok: false; readonly code: PenstockError['code']; readonly message: string }

export interface WriterRequest {
  readonly commands: readonly WriterCommand[]
}

/** Values of one transaction: enough to pay for its sync, little enough not to keep other processes from the lock. */
export const groupBytesMax = 8 * 1024 * 1024

/** Records one retention transaction removes at most, so that the write lock is not held for long. */
const retainRecordsMax = 256

if (parentPort !== null) serve(parentPort, workerData as LmdbStoreOptions, await import('lmdb'))

function serve(port: NonNullable<typeof parentPort>, options: LmdbStoreOptions, lmdb: typeof import('lmdb')): void {
  const store = new LmdbStore(lmdb, options)
  port.on('message', (request: WriterRequest | 'close') => {
    if (request === 'close') {
      void store.close().then(() => {
        port.postMessage('closed')
        port.close()
      })
      return
    }
    port.postMessage(answersOf(store, request.commands, options.bytesMax))
  })
}

function answersOf(store: LmdbStore, commands: readonly WriterCommand[], bytesMax: number): WriterAnswer[] {
  try {
    return store.transaction(() => {
      // Positions and retention go on when appends no longer do, so that delivery makes room again, and what is kept is delivered.
      const room = {
        bytes: bytesMax === 0 ? Number.POSITIVE_INFINITY : bytesMax - store.bytes(),
        isInPlace: store.isInPlace(),
      }
      return commands.map((command) => answerOf(store, command, room))
    })
  } catch (error) {
    const { code, message } = faultOf(error, store.path)
    return commands.map(() => ({ ok: false, code, message }))
  }
}

/** What appends of one transaction find. */
interface Room {
  bytes: number
  readonly isInPlace: boolean
}

/** A refused command (stale generation) changes nothing and leaves the others of its transaction alone. */
function answerOf(store: LmdbStore, command: WriterCommand, room: Room): WriterAnswer {
  try {
    return { ok: true, result: run(store, command, room) }
  } catch (error) {
    if (isPenstockError(error)) return { ok: false, code: error.code, message: error.message }
    throw error
  }
}

function run(store: LmdbStore, command: WriterCommand, room: Room): WriterResults[WriterCommand['kind']] {
  switch (command.kind) {
    case 'append': {
      if (!room.isInPlace)
        throw new PenstockError(
          'LOG_UNAVAILABLE',
          `the log's folder ${store.path} was removed while it is in use; nothing is acknowledged until Penstock is started again`,
        )
      room.bytes -= command.value.length
      if (room.bytes < 0)
        throw new PenstockError('LOG_DISK_FULL', 'the log is as large as PENSTOCK_LOG_MEGABYTES_MAX lets it be')
      const { first, next, bytes } = store.partition(command.partition)
      store.putRecord(command.partition, next, command.stamp, command.value)
      store.putPartition(command.partition, { first, next: next + 1, bytes: bytes + command.value.length })
      return next
    }
    case 'commit':
      assertOwner(store.group(command.group), command.partition, command.memberId, command.generation)
      store.putPosition(command.group, command.partition, command.position)
      return undefined
    case 'step': {
      store.lookForGrowth()
      const before = store.group(command.group)
      const after = groupStep(before, command.member, command.dead)
      if (after !== before) store.putGroup(command.group, after)
      for (const memberId of command.dead) store.putBeat(command.group, memberId, undefined)
      return after
    }
    case 'leave':
      store.putGroup(command.group, groupLeave(store.group(command.group), command.memberId))
      store.putBeat(command.group, command.memberId, undefined)
      return undefined
    case 'beat':
      store.putBeat(command.group, command.memberId, store.beat(command.group, command.memberId) + 1)
      return undefined
    case 'retain':
      return retain(store, command.partition, command.policy)
    case 'grow':
      store.lookForGrowth()
      if (command.partitionCount > store.partitionCount) store.putPartitionCount(command.partitionCount)
      return undefined
  }
}

function retain(store: LmdbStore, partition: number, policy: RetentionPolicy): RetentionPlan {
  const { first, next, bytes } = store.partition(partition)
  const delivered = deliveredBy(store.groups(), policy, (group) => store.position(group, partition))
  const end = Math.min(next, first + retainRecordsMax)
  const plan = planRetention(keptRecords(store, partition, first, end), { bytes, delivered, policy })
  for (let offset = first; offset < first + plan.removed; offset++) store.removeRecord(partition, offset)
  // Also when nothing was removed: LMDB reuses the pages that one transaction freed only after another one has committed, and on
  // a full disk an append cannot be that one.
  store.putPartition(partition, { first: first + plan.removed, next, bytes: plan.bytesLeft })
  return plan
}

function* keptRecords(store: LmdbStore, partition: number, first: number, end: number): Generator<KeptRecord> {
  for (let offset = first; offset < end; offset++) yield store.kept(partition, offset)
}

/** ENOSPC, EDQUOT, EFBIG as LMDB passes them on. */
const diskFullCodes: ReadonlySet<unknown> = new Set([28, 122, 27])

/** EIO, which LMDB reports when the disk took only part of a write, as a disk does that is just full. */
const partialWriteCode = 5

function faultOf(error: unknown, path: string): { code: PenstockError['code']; message: string } {
  const message = error instanceof Error ? error.message : String(error)
  const number = error instanceof Error && 'code' in error ? error.code : undefined
  const isFull = diskFullCodes.has(number) || (number === partialWriteCode && freeBytes(path) < 4 * groupBytesMax)
  return { code: isFull ? 'LOG_DISK_FULL' : 'LOG_APPEND_FAILED', message }
}

function freeBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}
