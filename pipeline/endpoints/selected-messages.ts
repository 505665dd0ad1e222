import { batchFromMessages } from '#schemas/batch.ts'
import type { DeliveryRange } from './delivery-range.ts'
import type { SelectedMessage, SelectedRange } from './selected-range.ts'

/** A range of messages that were decoded before: a part of a batch, or those of a letter. */
export function selectedFromMessages(
  range: Omit<DeliveryRange, 'messageCount'>,
  messages: readonly SelectedMessage[],
  revision?: string,
): SelectedRange {
  let chunks: readonly Uint8Array[] | undefined
  return {
    range: { ...range, messageCount: messages.length },
    revision,
    avro: async () => {
      chunks ??= [batchFromMessages(messages)]
      return chunks
    },
    async *messages() {
      yield messages
    },
  }
}
