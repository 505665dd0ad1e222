/** What became of each dead letter, read from the whole topic; `schemas/dead-letter.ts` draws the states. */
import type { Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/workers/log-walk.ts'
import { assert } from '#runtime/assert.ts'
import { type DeadLetter, type DeadLetterReplay, letterFromBytes } from '#schemas/dead-letter.ts'
import { PenstockError } from '#schemas/errors.ts'

const readBytesMax = 8 * 1024 * 1024

/** Where a letter lies on the dead-letter topic; as text `partition:offset`. */
export interface LetterId {
  readonly partition: number
  readonly offset: number
}

export type LetterState = 'open' | 'replaying' | 'replayed' | 'dropped'

export interface ListedLetter {
  /** Where it was written first. */
  readonly id: LetterId
  readonly letter: Omit<DeadLetter, 'kind' | 'bytes'>
  readonly byteCount: number
  readonly state: LetterState
  /** Since when it is in this state, UTC milliseconds. */
  readonly stateAtMs: number
  /** How its replay was begun, if it was. */
  readonly replay: DeadLetterReplay | undefined
}

export function textOfLetterId({ partition, offset }: LetterId): string {
  return `${partition}:${offset}`
}

/** All letters in the order they were written, without their bytes. One that was written twice is there once. */
export async function listDeadLetters(log: Log): Promise<ListedLetter[]> {
  const letters: ListedLetter[] = []
  for (let partition = 0; partition < log.partitionCount; partition++)
    letters.push(...(await lettersOf(log, partition)).letters.values())
  return letters
}

/** One letter without its bytes, by its id or that of its repetition. @throws DEAD_LETTER_UNKNOWN */
export async function findDeadLetter(log: Log, id: LetterId): Promise<ListedLetter> {
  const { letters, keys } = id.partition < log.partitionCount ? await lettersOf(log, id.partition) : nothing
  const found = letters.get(keys.get(id.offset) ?? '')
  if (!found) throw new PenstockError('DEAD_LETTER_UNKNOWN', `there is no dead letter ${textOfLetterId(id)}`)
  return found
}

/** What of one batch became letters. */
export interface LetteredBatch {
  /** False if its bytes could not be read: then its stamp proves nothing. */
  readonly readable: boolean
  /** By which message of the batch is a letter's first. */
  readonly letters: ReadonlyMap<number, { readonly messageCount: number; readonly state: LetterState }>
}

/**
 * Batches of `topic` that became letters, wholly or in part, settled or not, by partition and offset.
 * @param endpoint whose letters they are; `undefined`: those of the log's own destination
 */
export async function listLetteredBatches(
  log: Log,
  topic: string,
  endpoint?: string,
): Promise<Map<number, Map<number, LetteredBatch>>> {
  const partitions = new Map<number, Map<number, LetteredBatch>>()
  for (const { letter, state } of await listDeadLetters(log)) {
    if (letter.topic !== topic || letter.endpoint !== endpoint) continue
    const { partition, offset, reason, messageFirst = 0, messageCount } = letter
    const batches = partitions.get(partition) ?? new Map<number, LetteredBatch>()
    const letters = new Map(batches.get(offset)?.letters).set(messageFirst, { messageCount, state })
    partitions.set(partition, batches.set(offset, { readable: reason !== 'BATCH_CORRUPT', letters }))
  }
  return partitions
}

interface Letters {
  readonly letters: ReadonlyMap<string, ListedLetter>
  /** By offset on the dead-letter topic. */
  readonly keys: ReadonlyMap<number, string>
}

const nothing: Letters = { letters: new Map(), keys: new Map() }

async function lettersOf(log: Log, partition: number): Promise<Letters> {
  const letters = new Map<string, ListedLetter>()
  const keys = new Map<number, string>()
  await eachRecord(log, partition, 0, (record) => {
    const found = letterFromBytes(record.value)
    if (found.kind === 'letter') {
      const { bytes, kind: _, ...letter } = found
      const key = keyOf(letter, record)
      keys.set(record.offset, key)
      if (letters.has(key)) return
      const id = { partition, offset: record.offset }
      const state = { state: 'open', stateAtMs: letter.atMs, replay: undefined } as const
      letters.set(key, { id, letter, byteCount: bytes.length, ...state })
      return
    }
    const key = keys.get(found.letter) ?? ''
    const letter = letters.get(key)
    if (!letter) return
    const replay = found.kind === 'replay' ? found : letter.replay
    const state = found.kind === 'replay' ? 'replaying' : found.as
    if (canBecome(letter.state, state)) letters.set(key, { ...letter, state, stateAtMs: found.atMs, replay })
  })
  return { letters, keys }
}

function canBecome(from: LetterState, to: LetterState): boolean {
  return from === 'open' || (from === 'replaying' && to === 'replayed')
}

/** A worker that dies between a letter and its position writes the letter again, for the same messages of the same batch. */
function keyOf(letter: ListedLetter['letter'], { stamp }: LogRecord): string {
  const { topic, partition, offset, messageFirst = 0, endpoint } = letter
  return JSON.stringify([topic, partition, offset, messageFirst, endpoint, stamp.edgeId, stamp.epoch, stamp.sequence])
}

/**
 * Calls `action` for the records of a partition from offset `from` on, as far as they are kept.
 * @throws LOG_UNAVAILABLE if not all of them could be read: a part would show what is settled as open
 */
export async function eachRecord(
  log: Log,
  partition: number,
  from: number,
  action: (record: LogRecord) => void,
): Promise<void> {
  const range = (await log.ranges())[partition]
  if (!range) return
  const walk = { partition, from: Math.max(from, range.first), end: range.next, readBytesMax }
  const read = await walkLog(log, walk, action)
  assert(range.first <= range.next, `a partition keeps what is between ${range.first} and ${range.next}`)
  if (read < range.next)
    throw new PenstockError(
      'LOG_UNAVAILABLE',
      `the log has not handed out all of ${log.topic}/${partition}: read up to ${read} of ${range.next}`,
    )
}
