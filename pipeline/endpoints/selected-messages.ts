import { assert } from '#runtime/assert.ts'
import { batchFromMessages } from '#schemas/batch.ts'
import type { DeliveryRange } from './delivery-range.ts'
import type { SelectedMessage, SelectedRange } from './selected-range.ts'

/** A range of messages that were decoded before: a part of a batch, or those of a letter. */
export function selectedFromMessages(
  range: Omit<DeliveryRange, 'messageCount'>,
  messages: readonly SelectedMessage[],
  revision?: string,
): SelectedRange {
  const { first, last } = range
  for (const message of [messages[0], messages.at(-1)])
    assert(
      !message || (message.offset >= first && message.offset <= last),
      `messages of batches ${first} to ${last} are of these`,
    )
  let chunks: readonly Uint8Array[] | undefined
  return {
    range: { ...range, messageCount: messages.length },
    revision,
    avro: async () => {
      assert(messages.length > 0, 'a batch is made of messages')
      chunks ??= [batchFromMessages(messages)]
      return chunks
    },
    async *messages() {
      yield messages
    },
  }
}
