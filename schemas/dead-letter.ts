/**
 * What could not be delivered, as a record of the dead-letter topic. The bytes come last and are the original's, untouched.
 *
 *   ┌ "PDL" 01 │ u32 big endian: length of the head │ head: JSON, UTF-8 │ bytes ┐
 *
 * A log only grows. So later records on the same topic and partition say what becomes of a letter. The first that is no repetition
 * decides, so of two operators one is refused:
 *
 *   open ──▶ 03 replaying ──▶ 02 replayed      a replay that was begun can only be finished: it may have been sent
 *    └─────▶ 02 dropped
 *
 *   ┌ "PDL" 02 │ u32 length │ {"letter": <offset>, "as": "replayed" | "dropped", "atMs": …} ┐
 *   ┌ "PDL" 03 │ u32 length │ {"letter": <offset>, "epoch": …, "next": …, "atMs": …} ┐
 *
 * A replay to an endpoint says how far it is, as a worker does beside its position. Another one that begins takes over: what the one
 * before notes from then on does not count, and it sees so.
 *
 *   ┌ "PDL" 04 │ u32 length │ {"letter": <offset>, "epoch": <of its replay>, "note": …, "atMs": …} ┐
 */
import { type ErrorCode, errorTable, PenstockError } from './errors.ts'

/** Why a message becomes a letter; each is a label of `penstock_worker_dead_letters_total`. */
export const deadLetterReasons = [
  'WAREHOUSE_REFUSED',
  'ENDPOINT_REFUSED',
  'BATCH_CORRUPT',
] as const satisfies readonly ErrorCode[]

export type DeadLetterReason = (typeof deadLetterReasons)[number]

export interface DeadLetterHead {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly reason: ErrorCode
  readonly text: string
  /** When it became a letter, UTC milliseconds. */
  readonly atMs: number
  /** Messages that it holds. */
  readonly messageCount: number
  /** Index in the batch of its first message; 0 for a whole batch. Older versions leave it out: their letters were whole batches. */
  readonly messageFirst?: number
  /**
   * Name of the endpoint that refused it, which alone may get it again. Left out for what the log's own destination refused, whose replay
   * goes to the log.
   */
  readonly endpoint?: string
  /** Id of the replay of the log in which it was refused: it may have been refused, and settled, before. */
  readonly replay?: string
}

export interface DeadLetter extends DeadLetterHead {
  readonly kind: 'letter'
  readonly bytes: Uint8Array
}

export interface DeadLetterSettlement {
  readonly kind: 'settlement'
  /** Offset of the letter on the dead-letter topic, same partition. */
  readonly letter: number
  readonly as: 'replayed' | 'dropped'
  readonly atMs: number
}

/**
 * Written before the bytes of the letter are appended again, so that whoever repeats the replay appends the same batch. Where the letter
 * goes to an endpoint, the epoch is a number that no other replay of it has.
 */
export interface DeadLetterReplay {
  readonly kind: 'replay'
  /** As in `DeadLetterSettlement`. */
  readonly letter: number
  /** Epoch of the stamp that the letter's bytes are appended under. */
  readonly epoch: number
  /** The batch of the replay can only be at this offset of the letter's partition, or later. */
  readonly next: number
  readonly atMs: number
}

/** How far a replay to an endpoint is. */
export interface DeadLetterProgress {
  readonly kind: 'progress'
  /** As in `DeadLetterSettlement`. */
  readonly letter: number
  /** Of the replay that says so. */
  readonly epoch: number
  /** As beside a position on a log. */
  readonly note: string
  readonly atMs: number
}

export type DeadLetterRecord = DeadLetter | DeadLetterSettlement | DeadLetterReplay | DeadLetterProgress

const magic = Buffer.from('PDL', 'latin1')
const headStart = 8

/** Longest head, so that the head and the original bytes fit a log record. */
export const deadLetterHeadBytesMax = 4096

/** Encodes a letter; `text` is cut so that the head stays below `deadLetterHeadBytesMax`. */
export function bytesFromLetter(letter: Omit<DeadLetter, 'kind'>): Buffer {
  const { bytes, ...head } = letter
  return encode(1, { ...head, text: head.text.slice(0, 500) }, bytes)
}

export function bytesFromSettlement({ letter, as, atMs }: Omit<DeadLetterSettlement, 'kind'>): Buffer {
  return encode(2, { letter, as, atMs }, new Uint8Array())
}

export function bytesFromReplay({ letter, epoch, next, atMs }: Omit<DeadLetterReplay, 'kind'>): Buffer {
  return encode(3, { letter, epoch, next, atMs }, new Uint8Array())
}

export function bytesFromProgress({ letter, epoch, note, atMs }: Omit<DeadLetterProgress, 'kind'>): Buffer {
  return encode(4, { letter, epoch, note, atMs }, new Uint8Array())
}

/** @throws BATCH_CORRUPT if the record is none of these kinds */
export function letterFromBytes(value: Uint8Array): DeadLetterRecord {
  const buffer = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (buffer.length < headStart || !buffer.subarray(0, 3).equals(magic)) throw corrupt()
  const headEnd = headStart + buffer.readUInt32BE(4)
  if (headEnd > buffer.length) throw corrupt()
  const head = parse(buffer.toString('utf8', headStart, headEnd))
  if (buffer[3] === 1 && isHead(head)) return { kind: 'letter', ...head, bytes: buffer.subarray(headEnd) }
  if (buffer[3] === 2 && isSettlement(head)) return { kind: 'settlement', ...head }
  if (buffer[3] === 3 && isReplay(head)) return { kind: 'replay', ...head }
  if (buffer[3] === 4 && isProgress(head)) return { kind: 'progress', ...head }
  throw corrupt()
}

function encode(kind: number, head: object, bytes: Uint8Array): Buffer {
  const text = Buffer.from(JSON.stringify(head))
  const start = Buffer.alloc(headStart)
  magic.copy(start)
  start[3] = kind
  start.writeUInt32BE(text.length, 4)
  return Buffer.concat([start, text, bytes])
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw corrupt(cause)
  }
}

function isHead(head: unknown): head is DeadLetterHead {
  return (
    holds(head, { texts: ['topic', 'reason', 'text'], numbers: ['partition', 'offset', 'atMs', 'messageCount'] }) &&
    Object.hasOwn(errorTable, String(head.reason)) &&
    (head.endpoint === undefined || typeof head.endpoint === 'string') &&
    (head.replay === undefined || typeof head.replay === 'string')
  )
}

function isSettlement(head: unknown): head is Omit<DeadLetterSettlement, 'kind'> {
  return holds(head, { numbers: ['letter', 'atMs'] }) && (head.as === 'replayed' || head.as === 'dropped')
}

function isReplay(head: unknown): head is Omit<DeadLetterReplay, 'kind'> {
  return holds(head, { numbers: ['letter', 'epoch', 'next', 'atMs'] })
}

function isProgress(head: unknown): head is Omit<DeadLetterProgress, 'kind'> {
  return holds(head, { texts: ['note'], numbers: ['letter', 'epoch', 'atMs'] })
}

/** It is an object with these fields of its own, or more. */
function holds(
  head: unknown,
  { texts = [], numbers = [] }: { readonly texts?: readonly string[]; readonly numbers?: readonly string[] },
): head is Readonly<Record<string, unknown>> {
  if (typeof head !== 'object' || head === null) return false
  const fields = head as Readonly<Record<string, unknown>>
  return (
    texts.every((name) => typeof fields[name] === 'string') && numbers.every((name) => typeof fields[name] === 'number')
  )
}

function corrupt(cause?: unknown): PenstockError {
  return new PenstockError('BATCH_CORRUPT', 'not a record of the dead-letter topic', { cause })
}
