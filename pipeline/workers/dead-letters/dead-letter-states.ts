/** What became of each dead letter, read from the whole topic; `schemas/dead-letter.ts` draws the states. */
import type { Log, LogRecord } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import { assert } from '#runtime/assert.ts'
import { type DeadLetter, type DeadLetterRecord, type DeadLetterReplay, letterFromBytes } from '#schemas/dead-letter.ts'
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
  /** How far its replay to an endpoint is: a note as of a position on a log; empty at its start. */
  readonly progress: string
}

export function textOfLetterId({ partition, offset }: LetterId): string {
  return `${partition}:${offset}`
}

/** All letters in the order they were written, without their bytes. One that was written twice is there once. */
export async function listDeadLetters(log: Log): Promise<ListedLetter[]> {
  const letters: ListedLetter[] = []
  for (let partition = 0; partition < log.partitionCount; partition++)
    letters.push(...(await LetterLedger.read(log, partition)).letters())
  return letters
}

/** One letter without its bytes, by its id or that of its repetition. @throws DEAD_LETTER_UNKNOWN */
export async function findDeadLetter(log: Log, id: LetterId): Promise<ListedLetter> {
  const ledger = id.partition < log.partitionCount ? await LetterLedger.read(log, id.partition) : undefined
  const found = ledger?.find(id.offset)
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

/** What became of the letters of one partition, as far as it was read. */
export class LetterLedger {
  readonly #log: Log
  readonly #partition: number
  readonly #letters = new Map<string, ListedLetter>()
  /** By offset on the dead-letter topic. */
  readonly #keys = new Map<number, string>()
  #next = 0

  constructor(log: Log, partition: number) {
    this.#log = log
    this.#partition = partition
  }

  static async read(log: Log, partition: number): Promise<LetterLedger> {
    const ledger = new LetterLedger(log, partition)
    await ledger.readOn()
    return ledger
  }

  /** Reads what was appended since. @throws LOG_UNAVAILABLE */
  async readOn(): Promise<void> {
    await eachRecord(this.#log, this.#partition, this.#next, (record) => {
      this.#note(record)
      this.#next = record.offset + 1
    })
  }

  letters(): IterableIterator<ListedLetter> {
    return this.#letters.values()
  }

  /** @param offset of a letter or of its repetition */
  find(offset: number): ListedLetter | undefined {
    return this.#letters.get(this.#keys.get(offset) ?? '')
  }

  #note(record: LogRecord): void {
    const found = letterFromBytes(record.value)
    if (found.kind === 'letter') {
      const { bytes, kind: _, ...letter } = found
      const key = keyOf(letter, record)
      this.#keys.set(record.offset, key)
      if (this.#letters.has(key)) return
      const id = { partition: this.#partition, offset: record.offset }
      const state = { state: 'open', stateAtMs: letter.atMs, replay: undefined, progress: '' } as const
      this.#letters.set(key, { id, letter, byteCount: bytes.length, ...state })
      return
    }
    const key = this.#keys.get(found.letter) ?? ''
    const letter = this.#letters.get(key)
    if (letter) this.#letters.set(key, afterNote(letter, found))
  }
}

/** What a letter is once something was noted of it; unchanged by what came too late. */
function afterNote(letter: ListedLetter, note: Exclude<DeadLetterRecord, DeadLetter>): ListedLetter {
  switch (note.kind) {
    case 'replay': {
      // To an endpoint whoever begins last goes on, where the one before was.
      const takesOver = letter.state === 'replaying' && letter.letter.endpoint !== undefined
      if (letter.state !== 'open' && !takesOver) return letter
      return { ...letter, state: 'replaying', stateAtMs: note.atMs, replay: note }
    }
    case 'progress':
      if (letter.state !== 'replaying' || letter.replay?.epoch !== note.epoch) return letter
      return { ...letter, stateAtMs: note.atMs, progress: note.note }
    case 'settlement':
      if (!canBecome(letter.state, note.as)) return letter
      return { ...letter, state: note.as, stateAtMs: note.atMs }
  }
}

function canBecome(from: LetterState, to: LetterState): boolean {
  return from === 'open' || (from === 'replaying' && to === 'replayed')
}

/** A worker that dies between a letter and its position writes the letter again, for the same messages of the same batch. */
function keyOf(letter: ListedLetter['letter'], { stamp }: LogRecord): string {
  const { topic, partition, offset, messageFirst = 0, endpoint, replay } = letter
  const { edgeId, epoch, sequence } = stamp
  return JSON.stringify([topic, partition, offset, messageFirst, endpoint, replay, edgeId, epoch, sequence])
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
  // None would have no letters.
  assert(range !== undefined, `the log tells what it keeps of each of its partitions, and of ${partition} too`)
  const walk = { partition, from: Math.max(from, range.first), end: range.next, readBytesMax }
  const read = await walkLog(log, walk, action)
  assert(range.first <= range.next, `a partition keeps what is between ${range.first} and ${range.next}`)
  if (read < range.next)
    throw new PenstockError(
      'LOG_UNAVAILABLE',
      `the log has not handed out all of ${log.topic}/${partition}: read up to ${read} of ${range.next}`,
    )
}
