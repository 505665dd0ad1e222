/** What the store keeps as JSON, read back. What is not as it was written is a fault of the disk, or of another program's hand. */
import type { GroupMemberState, GroupState, PartitionOwnership } from '#pipeline/log/group/group.ts'
import { isCount } from '#runtime/count.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { BatchStamp, GroupPosition } from '../log.ts'

export interface LogFormat {
  readonly version: number
  readonly topic: string
  readonly partitionCount: number
  /** Earlier versions made logs without. */
  readonly id?: string
}

/** @throws LOG_DATA_UNREADABLE, as all here */
export function formatFrom(bytes: Uint8Array): LogFormat {
  return checked(bytes, 'the format', isFormat)
}

export function stampFrom(bytes: Uint8Array): readonly [bytes: number, stamp: BatchStamp] {
  return checked(bytes, 'the stamp of a record', isLengthAndStamp)
}

/** A group knows the partitions that the log had when it was written. */
export function groupFrom(bytes: Uint8Array): Omit<GroupState, 'revision'> {
  const isGroup = (value: unknown): value is Omit<GroupState, 'revision'> =>
    isObject(value) &&
    Array.isArray(value.members) &&
    value.members.every(isMember) &&
    Array.isArray(value.partitions) &&
    value.partitions.every(isOwnership)
  return checked(bytes, 'a group', isGroup)
}

export function positionFrom(bytes: Uint8Array): GroupPosition {
  const [offset, metadata] = checked(bytes, 'a position', isOffsetAndMetadata)
  return { offset, metadata }
}

function checked<T>(bytes: Uint8Array, what: string, isIt: (value: unknown) => value is T): T {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch (cause) {
    throw unreadable(what, cause)
  }
  if (isIt(value)) return value
  throw unreadable(what, undefined)
}

function unreadable(what: string, cause: unknown): PenstockError {
  return new PenstockError('LOG_DATA_UNREADABLE', `${what} in the embedded log is not as it was written`, { cause })
}

type Fields = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}

function isFormat(value: unknown): value is LogFormat {
  return (
    isObject(value) &&
    isCount(value.version) &&
    typeof value.topic === 'string' &&
    isCount(value.partitionCount) &&
    isTextOrAbsent(value.id)
  )
}

/** HOT: per batch. Times are the edge's own, and may be anything that its clock says. */
function isLengthAndStamp(value: unknown): value is readonly [number, BatchStamp] {
  if (!Array.isArray(value)) return false
  const [bytes, stamp]: unknown[] = value
  return (
    isCount(bytes) &&
    isObject(stamp) &&
    isCount(stamp.schemaVersion) &&
    typeof stamp.edgeId === 'string' &&
    Number.isFinite(stamp.epoch) &&
    isCount(stamp.sequence) &&
    isCount(stamp.messageCount) &&
    Number.isFinite(stamp.enqueuedAtMsFirst) &&
    Number.isFinite(stamp.enqueuedAtMsLast)
  )
}

function isOffsetAndMetadata(value: unknown): value is readonly [number, string] {
  return Array.isArray(value) && isCount(value[0]) && typeof value[1] === 'string'
}

function isMember(value: unknown): value is GroupMemberState {
  return isObject(value) && typeof value.id === 'string' && typeof value.process === 'string'
}

function isOwnership(value: unknown): value is PartitionOwnership {
  return isObject(value) && isTextOrAbsent(value.owner) && isTextOrAbsent(value.wanted) && isCount(value.generation)
}
