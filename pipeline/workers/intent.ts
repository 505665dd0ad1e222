/**
 * What a worker writes beside its group offset. The offset is the next one to deliver; the note says what is under way there.
 *
 *   position │ note               │ meaning
 *   a        │ empty              │ nothing is under way; everything below a is settled
 *   a        │ intent {last: b …} │ a..b is being inserted: it may be stored wholly, or not at all, or land any moment
 *   b + 1    │ empty              │ a..b is settled
 *
 * The note is JSON, below the 4,000 characters that a commit may carry (Kafka's offset.metadata.max.bytes is 4,096).
 */
import type { BatchStamp } from '#pipeline/log/log.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { SinkRange } from '#schemas/sink.ts'

const noteVersion = 1

export interface Intent {
  readonly range: SinkRange
  /** Deduplication token of the range. A `+` is added when one is burnt: remembered by the sink without its rows. */
  readonly token: string
}

export interface PositionNote {
  readonly intent: Intent | undefined
  /** Sequences delivered so far, as `DeliveredSequences` writes them. */
  readonly delivered: string
}

export const emptyNote: PositionNote = { intent: undefined, delivered: '' }

export function textFromNote({ intent, delivered }: PositionNote): string {
  if (!intent && delivered === '') return ''
  if (!intent) return JSON.stringify({ v: noteVersion, delivered })
  const { range, token } = intent
  const { last, rowCount: rows, enqueuedAtMsFirst: from, enqueuedAtMsLast: to } = range
  return JSON.stringify({ v: noteVersion, b: last, token, rows, from, to, delivered })
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
  if (!isRecord(fields) || fields.v !== noteVersion || typeof fields.delivered !== 'string')
    throw corrupt(topic, partition, first, text)
  const delivered = fields.delivered
  if (fields.b === undefined) return { intent: undefined, delivered }
  const { b: last, token, rows, from, to } = fields
  if (!isCount(last) || last < first || typeof token !== 'string' || !isCount(rows) || !isCount(from) || !isCount(to))
    throw corrupt(topic, partition, first, text)
  const range = { topic, partition, first, last, rowCount: rows, enqueuedAtMsFirst: from, enqueuedAtMsLast: to }
  return { intent: { range, token }, delivered }
}

/**
 * Topic, partition and range name the rows; the first batch's own stamp tells this log from one that was made anew
 * under the same name, whose ranges would otherwise be taken for repetitions and silently dropped.
 */
export function tokenOf({ topic, partition, first, last }: SinkRange, { edgeId, epoch, sequence }: BatchStamp): string {
  return `${topic}/${partition}/${first}-${last}/${edgeId}.${epoch}.${sequence}`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function corrupt(topic: string, partition: number, offset: number, text: string, cause?: unknown): PenstockError {
  return new PenstockError(
    'INTENT_CORRUPT',
    `position of ${topic}/${partition} at ${offset} carries a note that is not Penstock's: ${text.slice(0, 200)}`,
    { cause },
  )
}
