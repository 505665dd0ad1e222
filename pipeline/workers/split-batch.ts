/**
 * Delivers one batch, refused as a whole for good, message by message: the good ones are stored, the others become letters.
 *
 *   messages   │ 0 1 2 3 4 5 6 7 │            settled in their order, `next` of them so far
 *   insert       0 1 2 3 ✗                   refused: half as many
 *                0 1 ✓  2 3 ✗  2 ✓  3 ✗      one message refused, by a sink that takes other rows: given up, a letter
 *                                4 ✓  5 6 ✓  7 ✓     stored: twice as many
 *
 * Every insert is a range of its own under the intent protocol; all have the batch's offset, so "is it stored?" means "more rows
 * than the parts before it had". What is given up is written down before its letter is, so nothing becomes both. Messages that no route
 * selects are passed over; places are counted with them, so that they mean the same whatever routes select later.
 */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { selectedFromMessages } from '#pipeline/endpoints/selected-messages.ts'
import type { SelectedMessage, SelectedRange, UnfitMessage } from '#pipeline/endpoints/selected-range.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { isBatch } from '#schemas/batch.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { utcDayOf } from '#schemas/time.ts'
import { deliverRange, type RangeDeliveryOptions, storedIn } from './deliver-range.ts'
import { type Intent, type Split, tokenOf } from './intent.ts'
import { letterOfMessages } from './letter-of-messages.ts'
import { type LetterOptions, putLetter } from './put-letter.ts'
import type { ReadRecord } from './range-reader.ts'
import type { RangeSelector } from './range-selector.ts'
import type { UndeliverableRecord } from './undeliverable.ts'

const retryDelayMs = 500

export interface SplitOptions extends Omit<LetterOptions, 'delivery'> {
  readonly delivery: RangeDeliveryOptions
  readonly topic: string
  readonly partition: number
  readonly selector: RangeSelector
  /** Name that letters carry, if any. */
  readonly letterEndpoint: string | undefined
  /** What the sink refused last, if this owner of the partition saw it. */
  readonly refusal: () => PenstockError | undefined
  /** Writes the batch's own position down, with what is under way in it. */
  readonly commit: (intent: Intent | undefined, split: Split) => Promise<void>
  readonly onStored: (rowCount: number) => void
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
  const batch = await readBatch(options, record, bodyBytesMax, open?.revision)
  return await new BatchSplit(options, batch, from, open).run()
}

/** A batch with what the destination gets of it. */
interface SplitBatch {
  readonly record: LogRecord
  /** Of the whole batch, without a count: what the sink is asked about must be the same for all parts. */
  readonly range: Omit<DeliveryRange, 'messageCount'>
  readonly token: string
  /** `undefined` if the bytes can't be read, or are more than is wise to unpack. */
  readonly messages: readonly SelectedMessage[] | undefined
  readonly unfit: readonly UnfitMessage[]
  readonly revision: string | undefined
}

/** An edge writes one block a batch; a few more may come from elsewhere. */
const splitBytesMax = 4 * limits.blockBytesMax

async function readBatch(
  { selector, topic, partition }: SplitOptions,
  record: LogRecord,
  bodyBytesMax: number,
  revision: string | undefined,
): Promise<SplitBatch> {
  const { offset, stamp } = record
  const { enqueuedAtMsFirst, enqueuedAtMsLast } = stamp
  const whole = { topic, partition, first: offset, last: offset, enqueuedAtMsFirst, enqueuedAtMsLast }
  const token = tokenOf({ ...whole, messageCount: stamp.messageCount }, stamp)
  const unreadable = { record, range: whole, token, messages: undefined, unfit: [], revision: undefined }
  if (!isBatch(record.value) || bodyBytesMax > splitBytesMax) return unreadable
  try {
    const selected = await selector.select({ ...whole, messageCount: stamp.messageCount }, [record], revision)
    const messages: SelectedMessage[] = []
    for await (const block of selected.messages()) messages.push(...block)
    assertPlaces(messages, stamp.messageCount)
    const { revision: selectedBy, unfit = [] } = selected
    return { record, range: { ...whole, ...timesOf(record, messages) }, token, messages, unfit, revision: selectedBy }
  } catch (error) {
    if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
    return unreadable
  }
}

/** The times of the stamp and of all messages that can become rows, which are those of the stamped day. */
function timesOf(
  { stamp }: LogRecord,
  messages: readonly SelectedMessage[],
): Pick<DeliveryRange, 'enqueuedAtMsFirst' | 'enqueuedAtMsLast'> {
  const day = utcDayOf(stamp.enqueuedAtMsFirst)
  let enqueuedAtMsFirst = Math.min(stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
  let enqueuedAtMsLast = Math.max(stamp.enqueuedAtMsFirst, stamp.enqueuedAtMsLast)
  for (const { enqueuedAtMs } of messages) {
    if (utcDayOf(enqueuedAtMs) !== day) continue
    enqueuedAtMsFirst = Math.min(enqueuedAtMsFirst, enqueuedAtMs)
    enqueuedAtMsLast = Math.max(enqueuedAtMsLast, enqueuedAtMs)
  }
  return { enqueuedAtMsFirst, enqueuedAtMsLast }
}

/** Progress is counted in places, so each must be there once and in order. */
function assertPlaces(messages: readonly SelectedMessage[], messageCount: number): void {
  let before = -1
  for (const { index } of messages) {
    if (index <= before) break
    before = index
  }
  assert(before === (messages.at(-1)?.index ?? -1), 'messages of a batch are selected in their order')
  assert(before < messageCount, `a message of a batch of ${messageCount} is not its ${before + 1}th`)
}

/** Messages `next` to `next + length - 1` of the batch, as a range of their own. */
interface Part {
  readonly length: number
  /** Place of the first message that is selected in it. */
  readonly firstSelected: number
  readonly selected: SelectedRange
  readonly intent: Intent
}

class BatchSplit {
  readonly #options: SplitOptions
  readonly #batch: SplitBatch
  readonly #messageCount: number
  #split: Split
  #open: Intent | undefined
  /** Selected messages in the next insert. */
  #lengthMax: number
  #letterCount = 0

  constructor(options: SplitOptions, batch: SplitBatch, from: Split, open: Intent | undefined) {
    this.#options = options
    this.#batch = batch
    this.#messageCount = batch.record.stamp.messageCount
    this.#split = from
    this.#open = open
    this.#lengthMax = Math.ceil((batch.messages?.length ?? 0) / 2)
    const settled = from.next + from.given
    assert(settled <= this.#messageCount, `of a batch of ${this.#messageCount} messages not ${settled} are settled`)
  }

  async run(): Promise<'settled' | 'unreadable' | 'ended'> {
    const { delivery } = this.#options
    // Written before the first part already, but routes may have changed since.
    for (const { message, text } of this.#batch.unfit) if (!(await this.#giveUpUnfit(message, text))) return 'ended'
    if (this.#open && this.#open.revision !== this.#batch.revision && !(await this.#settleOpen(this.#open)))
      return 'ended'
    while (this.#split.next < this.#messageCount) {
      if (delivery.ended.aborted) return 'ended'
      const given = this.#givenCount()
      const goesOn = given > 0 ? await this.#giveUp(given) : await this.#deliverPart()
      if (!goesOn) return 'ended'
    }
    return this.#batch.messages ? 'settled' : 'unreadable'
  }

  /**
   * The routes that selected the open part are not known any more, so it can't be repeated: once nothing of it can land any
   * more, the sink says what became of it. False if the assignment ended before.
   */
  async #settleOpen({ range }: Intent): Promise<boolean> {
    const { sink, clock, ended, insertBeginMsMax, logger, onWait } = this.#options.delivery
    this.#open = undefined
    await sleep(clock, insertBeginMsMax + sink.insertMsMax, ended)
    while (!ended.aborted) {
      try {
        const isStored = (await storedIn(sink, range)) > this.#split.stored
        if (isStored) this.#passPart(range.part?.length ?? range.messageCount, range.messageCount)
        return true
      } catch (error) {
        if (!isPenstockError(error) || error.disposition !== 'retry') throw error
        logger.warn('the sink does not say what it has stored', { partition: range.partition, error })
        onWait(error)
        await sleep(clock, retryDelayMs, ended)
      }
    }
    return false
  }

  /** How many messages from `next` on become a letter now. The same again after a crash. */
  #givenCount(): number {
    const { next, stored, given } = this.#split
    if (given > 0) return given
    const rest = this.#messageCount - next
    if (this.#batch.messages === undefined) return rest
    return this.#lettersBefore(next, stored) >= limits.deadLettersPerBatchMax ? rest : 0
  }

  async #giveUpUnfit(message: SelectedMessage, text: string): Promise<boolean> {
    const { topic, partition, letterEndpoint: endpoint } = this.#options
    if (message.index < this.#split.next) return true
    const why = { reason: 'ENDPOINT_REFUSED', text } as const
    const letter = letterOfMessages({ topic, partition, endpoint }, this.#batch.record.stamp, [message], why)
    return await putLetter(this.#options, letter)
  }

  /** Where routes decide, only what this owner gave up: what others passed over may have been selected by none of theirs. */
  #lettersBefore(next: number, stored: number): number {
    const { messages = [], revision } = this.#batch
    if (revision !== undefined) return this.#letterCount
    const settled = messages.length - messages.filter(({ index }) => index >= next).length
    return settled - stored
  }

  async #giveUp(given: number): Promise<boolean> {
    const { skipSteps } = this.#options.delivery
    this.#split = { ...this.#split, given }
    if (!skipSteps.has('verdict')) await this.#options.commit(undefined, this.#split)
    const letter = letterOf(this.#options, this.#batch, this.#split)
    if (letter && !(await putLetter(this.#options, letter))) return false
    this.#letterCount += letter?.record.stamp.messageCount ?? 0
    this.#split = { next: this.#split.next + given, stored: this.#split.stored, given: 0 }
    return true
  }

  async #deliverPart(): Promise<boolean> {
    const { delivery, commit, onStored } = this.#options
    const part = this.#nextPart()
    const { messageCount } = part.selected.range
    const progress = this.#split
    const repeated = this.#open
    this.#open = undefined
    if (messageCount === 0) {
      this.#passPart(part.length, 0)
      return true
    }
    const outcome = await deliverRange(
      { ...delivery, cutsOnRefusal: messageCount > 1 },
      repeated ?? part.intent,
      part.selected,
      (intent) => commit(intent, progress),
      repeated === undefined ? 'none' : 'landing',
    )
    if (outcome === 'stored') {
      onStored(messageCount)
      this.#passPart(part.length, messageCount)
      this.#lengthMax = messageCount * 2
    } else if (messageCount === 1)
      // The message alone: other routes may select those around it, and they were never refused.
      this.#split = { ...this.#split, next: part.firstSelected, given: 1 }
    else this.#lengthMax = Math.ceil(messageCount / 2)
    return outcome !== 'ended'
  }

  /** The part that was open, else as many selected messages as may go at once; behind the last of them the batch is passed over. */
  #nextPart(): Part {
    const { range, token, messages = [], revision } = this.#batch
    const { next, stored } = this.#split
    const rest = messages.filter(({ index }) => index >= next)
    const openLength = this.#open?.range.part?.length
    const some =
      openLength === undefined ? rest.slice(0, this.#lengthMax) : rest.filter(({ index }) => index < next + openLength)
    const end = some.length === rest.length ? this.#messageCount : (some.at(-1)?.index ?? next) + 1
    const length = openLength ?? end - next
    const storedBefore = this.#options.delivery.skipSteps.has('parts-before') ? 0 : stored
    const selected = selectedFromMessages({ ...range, part: { first: next, length, storedBefore } }, some, revision)
    const intent = { range: selected.range, token: `${token}#${next}+${length}`, revision }
    return { length, firstSelected: some[0]?.index ?? next, selected, intent }
  }

  #passPart(length: number, stored: number): void {
    const next = this.#split.next + length
    assert(
      length >= stored && next <= this.#messageCount,
      `a part of ${length} messages from ${next - length} on is none`,
    )
    this.#split = { next, stored: this.#split.stored + stored, given: 0 }
  }
}

/** Leaves room in a letter's text, which is cut at 500 characters, for what stands around the sink's own words. */
const causeLengthMax = 350

/** What is given up, as a batch of its own that can be sent again; bytes that can't be read stay as they are. */
function letterOf(
  { topic, partition, refusal, letterEndpoint: endpoint }: SplitOptions,
  { record, messages }: SplitBatch,
  { next, given }: Split,
): UndeliverableRecord | undefined {
  const error = refusal()
  const cause =
    error?.message.replace(/\s+/g, ' ').slice(0, causeLengthMax) ??
    'the cause went with a worker that ended; its log has it'
  if (messages === undefined) {
    const text = `the sink refused this batch, and its messages cannot be read: ${cause}`
    return { topic, partition, record, messageFirst: 0, reason: 'BATCH_CORRUPT', text, endpoint }
  }
  const [head, ...others] = messages.filter(({ index }) => index >= next && index < next + given)
  if (!head) return undefined
  const text =
    others.length === 0
      ? `the sink refused message ${head.index} of this batch: ${cause}`
      : `the sink refused ${limits.deadLettersPerBatchMax} messages of this batch, the last one: ${cause}; those from ${head.index} on were not tried`
  const reason = error?.code === 'ENDPOINT_REFUSED' ? 'ENDPOINT_REFUSED' : 'WAREHOUSE_REFUSED'
  const letter = letterOfMessages({ topic, partition, endpoint }, record.stamp, [head, ...others], { reason, text })
  const isWhole = others.length + 1 === record.stamp.messageCount
  return isWhole ? { ...letter, record: { ...letter.record, value: record.value } } : letter
}
