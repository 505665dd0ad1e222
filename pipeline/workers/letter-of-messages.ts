import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { batchFromMessages } from '#schemas/batch.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'
import type { UndeliverableRecord } from './undeliverable.ts'

export interface LetterPlace {
  readonly topic: string
  readonly partition: number
  /** Name that the letter carries, if any. */
  readonly endpoint: string | undefined
}

/** At least one message, all of one batch and in their order. */
export type MessagesOfBatch = readonly [SelectedMessage, ...SelectedMessage[]]

/** Messages that are given up, as a batch of their own that can be sent again. @param stamp of the batch that they are of */
export function letterOfMessages(
  place: LetterPlace,
  stamp: BatchStamp,
  messages: MessagesOfBatch,
  { reason, text }: { readonly reason: DeadLetterReason; readonly text: string },
): UndeliverableRecord {
  const [{ offset, index }] = messages
  assert(messages.at(-1)?.offset === offset, `a letter is of the batch at ${offset} alone`)
  const times = messages.map(({ enqueuedAtMs }) => enqueuedAtMs)
  const own: BatchStamp = {
    ...stamp,
    messageCount: messages.length,
    // Their own times: a message may be refused just because its batch is stamped with other ones.
    enqueuedAtMsFirst: times.reduce((one, other) => Math.min(one, other)),
    enqueuedAtMsLast: times.reduce((one, other) => Math.max(one, other)),
  }
  const record = { offset, stamp: own, value: batchFromMessages(messages) }
  return { ...place, record, messageFirst: index, reason, text }
}

/** Cuts messages where their batch changes, and into as much as one letter may hold. */
export function* messagesByBatch(
  messages: Iterable<SelectedMessage>,
  byteCountMax: number,
): Generator<MessagesOfBatch> {
  let group: [SelectedMessage, ...SelectedMessage[]] | undefined
  let byteCount = 0
  for (const message of messages) {
    byteCount += message.byteCount
    if (group && group[0].offset === message.offset && byteCount <= byteCountMax) group.push(message)
    else {
      if (group) yield group
      group = [message]
      byteCount = message.byteCount
    }
  }
  if (group) yield group
}
