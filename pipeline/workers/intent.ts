/**
 * What a worker writes beside its group offset. The offset is the next one to deliver; the note says what is under way there.
 *
 *   position │ note               │ meaning
 *   a        │ empty              │ nothing is under way; everything below a is settled
 *   a        │ intent {last: b …} │ a..b is being inserted: it may be stored wholly, or not at all, or land any moment
 *   b + 1    │ empty              │ a..b is settled
 *   a        │ split {next, …}    │ the batch at a is delivered message by message: `next` of them are settled
 *   a        │ split and intent   │ the messages from `next` on are being inserted, `length` (else `rows`) of the batch's, as above
 *   a        │ split {given: n}   │ n messages from `next` on will be a dead letter, never rows any more
 *
 * It also says which log the position is of, since one that is made anew under the same name begins at offset 0 again.
 *
 * The note is JSON, below the 4,000 characters that a commit may carry (Kafka's offset.metadata.max.bytes is 4,096).
 */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import { PenstockError } from '#schemas/errors.ts'

const noteVersion = 1
/** A note with a split: a worker that does not know it must not take it for an intent of the whole batch. */
const splitNoteVersion = 2

export interface Intent {
  readonly range: DeliveryRange
  /** Deduplication token of the range. One that the sink may remember without its rows is given up for a `renewedToken`. */
  readonly token: string
  /**
   * Of the routes that selected, so that a repetition has the same bytes. For a range that is stored wholly or not it does not
   * matter: whichever selection took effect, one did.
   */
  readonly revision?: string | undefined
}

/** How far the batch at the position is, once it is delivered message by message. */
export interface Split {
  /** Messages of the batch that are settled, from its first on. */
  readonly next: number
  /** Of these, the ones that became rows; the others are dead letters. */
  readonly stored: number
  /** How many from `next` on are given up: decided before their letter is written, so that they can't become both. */
  readonly given: number
}

export interface PositionNote {
  readonly intent: Intent | undefined
  readonly split: Split | undefined
  /** Sequences delivered so far, as `DeliveredSequences` writes them. */
  readonly delivered: string
  /** `Log.id` of the log that the position is of; `undefined` in a note of an earlier version. */
  readonly logId: string | undefined
}

const emptyNote: PositionNote = { intent: undefined, split: undefined, delivered: '', logId: undefined }

export function textFromNote({ intent, split, delivered, logId }: PositionNote): string {
  if (split) {
    const { next, stored, given } = split
    assert(stored <= next, `of the first ${next} messages of a batch no more are stored, not ${stored}`)
    assert(given >= 0, `no fewer than none are given up, not ${given}`)
  }
  return JSON.stringify({
    v: split ? splitNoteVersion : noteVersion,
    ...split,
    ...(intent ? fieldsOfIntent(intent) : undefined),
    delivered,
    log: logId,
  })
}

function fieldsOfIntent({ range, token, revision }: Intent): object {
  assert(range.last >= range.first, `a range from ${range.first} ends behind it, and not at ${range.last}`)
  const { last, messageCount: rows, enqueuedAtMsFirst: from, enqueuedAtMsLast: to, part } = range
  // Of a part of which everything is selected, the count says how long it is.
  const length = part?.length === rows ? undefined : part?.length
  return { b: last, token, rows, length, from, to, revision }
}

/** @throws INTENT_CORRUPT: guessing here could lose or double a range, so an operator decides. */
export function noteFromText(topic: string, partition: number, first: number, text: string): PositionNote {
  if (text === '') return emptyNote
  let fields: unknown
  try {
    fields = JSON.parse(text)
  } catch (cause) {
    throw corrupt(topic, partition, first, text, cause)
  }
  if (!isRecord(fields) || typeof fields.delivered !== 'string') throw corrupt(topic, partition, first, text)
  if (fields.v !== noteVersion && fields.v !== splitNoteVersion) throw corrupt(topic, partition, first, text)
  const { delivered, next, stored, given } = fields
  const logId = typeof fields.log === 'string' ? fields.log : undefined
  let split: Split | undefined
  if (fields.v === splitNoteVersion) {
    if (!isCount(next) || !isCount(stored) || !isCount(given) || stored > next)
      throw corrupt(topic, partition, first, text)
    split = { next, stored, given }
  }
  if (fields.b === undefined) return { intent: undefined, split, delivered, logId }
  const { b: last, token, rows, from, to, length, revision } = fields
  if (!isCount(last) || last < first || typeof token !== 'string' || !isCount(rows) || !isCount(from) || !isCount(to))
    throw corrupt(topic, partition, first, text)
  if (!(length === undefined || isCount(length)) || !(revision === undefined || typeof revision === 'string'))
    throw corrupt(topic, partition, first, text)
  const part = split && { first: split.next, length: length ?? rows, storedBefore: split.stored }
  const whole = { topic, partition, first, last, messageCount: rows, enqueuedAtMsFirst: from, enqueuedAtMsLast: to }
  const range: DeliveryRange = part ? { ...whole, part } : whole
  return { intent: revision === undefined ? { range, token } : { range, token, revision }, split, delivered, logId }
}

/**
 * Topic, partition and range name the rows; the first batch's own stamp tells this log from one that was made anew
 * under the same name, whose ranges would otherwise be taken for repetitions and silently dropped.
 */
export function tokenOf(
  { topic, partition, first, last }: DeliveryRange,
  { edgeId, epoch, sequence }: BatchStamp,
): string {
  return `${topic}/${partition}/${first}-${last}/${edgeId}.${epoch}.${sequence}`
}

/** Another token of the same rows: `…~1`, `…~2`, so that it stays short however often it is renewed. */
export function renewedToken(token: string): string {
  const [, base = token, count = '0'] = /^(.*)~(\d+)$/s.exec(token) ?? []
  return `${base}~${Number(count) + 1}`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function corrupt(topic: string, partition: number, offset: number, text: string, cause?: unknown): PenstockError {
  return new PenstockError(
    'INTENT_CORRUPT',
    `position of ${topic}/${partition} at ${offset} carries a note that is not Penstock's: ${text.slice(0, 200)}`,
    { cause },
  )
}
