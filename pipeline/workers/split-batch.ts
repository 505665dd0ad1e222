/**
 * Delivers one batch, refused as a whole for good, message by message: the good ones become rows, the others letters.
 *
 *   messages   │ 0 1 2 3 4 5 6 7 │            settled in their order, `next` of them so far
 *   insert       0 1 2 3 ✗                   refused: half as many
 *                0 1 ✓  2 3 ✗  2 ✓  3 ✗      one message refused, by a sink that takes other rows: given up, a letter
 *                                4 ✓  5 6 ✓  7 ✓     stored: twice as many
 *
 * Every insert is a range of its own under the intent protocol; all have the batch's offset, so "is it stored?" means "more rows
 * than the parts before it had". What is given up is written down before its letter is, so nothing becomes both.
 */
import { sleep } from '#runtime/clock.ts'
import {
  type BatchMessage,
  batchFromMessages,
  batchHeader,
  blocksOfBatch,
  isBatch,
  messagesOfBatch,
} from '#schemas/batch.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { SinkRange } from '#schemas/sink.ts'
import { utcDayOf } from '#schemas/time.ts'
import { type DeliveryOptions, deliverRange } from './deliver-range.ts'
import { type Intent, type Split, tokenOf } from './intent.ts'
import type { DeadLetterBox, UndeliverableRecord } from './partition-task.ts'
import type { ReadRecord } from './range-reader.ts'

const retryDelayMs = 500

export interface SplitOptions {
  readonly delivery: DeliveryOptions
  readonly topic: string
  readonly partition: number
  readonly deadLetters: DeadLetterBox
  /** What the sink refused last, if this owner of the partition saw it. */
  readonly refusal: () => PenstockError | undefined
  /** Writes the batch's own position down, with what is under way in it. */
  readonly commit: (intent: Intent | undefined, split: Split) => Promise<void>
  readonly onStored: (rowCount: number) => void
  readonly onLetter: (reason: DeadLetterReason, messageCount: number) => void
}

/**
 * Settles every message of `record` from `from.next` on.
 * @param open the intent that was found open together with `from`: the same messages must be repeated first
 * @returns `unreadable` if its bytes became a letter as they are; `ended` if the assignment ended before
 */
export async function settleByMessage(
  options: SplitOptions,
  { record, bodyBytesMax }: ReadRecord,
  from: Split,
  open: Intent | undefined,
): Promise<'settled' | 'unreadable' | 'ended'> {
  const { delivery, topic, partition } = options
  const { skipSteps } = delivery
  const messages = messagesOf(record.value, bodyBytesMax)
  const messageCount = messages?.length ?? record.stamp.messageCount
  const parts = partsOf(topic, partition, record, messages ?? [])
  let split = from
  let repeated = open
  let lengthMax = Math.ceil(messageCount / 2)
  while (split.next < messageCount) {
    if (delivery.ended.aborted) return 'ended'
    const given = givenOf(split, messages, messageCount)
    if (given > 0) {
      split = { ...split, given }
      if (!skipSteps.has('verdict')) await options.commit(undefined, split)
      if (!(await putLetter(options, letterOf(options, record, messages, split)))) return 'ended'
      split = { next: split.next + given, stored: split.stored, given: 0 }
      continue
    }
    const length = repeated?.range.rowCount ?? Math.min(lengthMax, messageCount - split.next)
    const { range, token, chunks } = parts(split.next, length)
    const progress = split
    const outcome = await deliverRange(
      { ...delivery, storedBefore: skipSteps.has('parts-before') ? 0 : split.stored, cutsOnRefusal: length > 1 },
      repeated ?? { range, token },
      chunks,
      (intent) => options.commit(intent, progress),
      repeated === undefined ? 'none' : 'landing',
    )
    repeated = undefined
    if (outcome === 'ended') return 'ended'
    if (outcome === 'stored') {
      options.onStored(length)
      split = { next: split.next + length, stored: split.stored + length, given: 0 }
      lengthMax = length * 2
    } else if (length === 1) split = { ...split, given: 1 }
    else lengthMax = Math.ceil(length / 2)
  }
  return messages ? 'settled' : 'unreadable'
}

/** The messages, or `undefined` if the bytes can't be read, or are more than is wise to unpack. */
function messagesOf(value: Uint8Array, bodyBytesMax: number): readonly BatchMessage[] | undefined {
  if (!isBatch(value) || bodyBytesMax > splitBytesMax) return undefined
  try {
    return messagesOfBatch(value)
  } catch (error) {
    if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
    return undefined
  }
}

/** An edge writes one block a batch; a few more may come from elsewhere. */
const splitBytesMax = 4 * limits.blockBytesMax

/** How many messages from `next` on become a letter now. The same again after a crash. */
function givenOf({ next, stored, given }: Split, messages: unknown, messageCount: number): number {
  if (given > 0) return given
  return messages === undefined || next - stored >= limits.deadLettersPerBatchMax ? messageCount - next : 0
}

/** Makes the insert of `length` messages from `next` on. */
function partsOf(
  topic: string,
  partition: number,
  { offset, stamp }: UndeliverableRecord['record'],
  messages: readonly BatchMessage[],
): (next: number, length: number) => Intent & { readonly chunks: readonly Uint8Array[] } {
  // What the sink is asked about must be the same for all parts: the times of all messages that can become rows, which are
  // those of the stamped day.
  const day = utcDayOf(stamp.enqueuedAtMsFirst)
  let enqueuedAtMsFirst = stamp.enqueuedAtMsFirst
  let enqueuedAtMsLast = stamp.enqueuedAtMsFirst
  for (const { envelope } of messages) {
    if (utcDayOf(envelope.enqueuedAtMs) !== day) continue
    enqueuedAtMsFirst = Math.min(enqueuedAtMsFirst, envelope.enqueuedAtMs)
    enqueuedAtMsLast = Math.max(enqueuedAtMsLast, envelope.enqueuedAtMs)
  }
  return (next, length) => {
    const range: SinkRange = {
      topic,
      partition,
      first: offset,
      last: offset,
      rowCount: length,
      enqueuedAtMsFirst,
      enqueuedAtMsLast,
    }
    const token = `${tokenOf(range, stamp)}#${next}+${length}`
    const chunks = [batchHeader, blocksOfBatch(batchFromMessages(messages.slice(next, next + length)))]
    return { range, token, chunks }
  }
}

/** Leaves room in a letter's text, which is cut at 500 characters, for what stands around the sink's own words. */
const causeLengthMax = 350

/** What is given up, as a batch of its own that can be sent again; bytes that can't be read stay as they are. */
function letterOf(
  { topic, partition, refusal }: SplitOptions,
  record: UndeliverableRecord['record'],
  messages: readonly BatchMessage[] | undefined,
  { next, given }: Split,
): UndeliverableRecord {
  const cause =
    refusal()?.message.replace(/\s+/g, ' ').slice(0, causeLengthMax) ??
    'the cause went with a worker that ended; its log has it'
  if (messages === undefined) {
    const text = `the sink refused this batch, and its messages cannot be read: ${cause}`
    return { topic, partition, record, messageFirst: 0, reason: 'BATCH_CORRUPT', text }
  }
  const some = messages.slice(next, next + given)
  const times = some.map(({ envelope }) => envelope.enqueuedAtMs)
  const stamp = {
    ...record.stamp,
    messageCount: given,
    // Their own times: a message may be refused just because its batch is stamped with other ones.
    enqueuedAtMsFirst: times.reduce((one, other) => Math.min(one, other)),
    enqueuedAtMsLast: times.reduce((one, other) => Math.max(one, other)),
  }
  const text =
    given === 1
      ? `the sink refused message ${next} of this batch: ${cause}`
      : `the sink refused ${limits.deadLettersPerBatchMax} messages of this batch, the last one: ${cause}; those from ${next} on were not tried`
  return {
    topic,
    partition,
    record: { offset: record.offset, stamp, value: given === messages.length ? record.value : batchFromMessages(some) },
    messageFirst: next,
    reason: 'WAREHOUSE_REFUSED',
    text,
  }
}

/** Tries until the letter is durable; false if the assignment ended first. */
export async function putLetter(
  { deadLetters, delivery, onLetter }: Pick<SplitOptions, 'deadLetters' | 'delivery' | 'onLetter'>,
  letter: UndeliverableRecord,
): Promise<boolean> {
  const { ended, clock, logger, onWait } = delivery
  const { partition, record, messageFirst, reason, text } = letter
  const { messageCount } = record.stamp
  while (!ended.aborted) {
    try {
      await deadLetters.put(letter)
      logger.error('sent to dead letters', {
        partition,
        offset: record.offset,
        messageFirst,
        messageCount,
        reason,
        text,
      })
      onLetter(reason, messageCount)
      return true
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry') throw error
      logger.warn('dead letter not confirmed', { partition, error })
      onWait(error)
      await sleep(clock, retryDelayMs, ended)
    }
  }
  return false
}
