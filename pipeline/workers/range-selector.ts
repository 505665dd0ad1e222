import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import { messageId, type SelectedMessage, type SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { batchHeader, blocksOfBatch, messagesOfBatch } from '#schemas/batch.ts'

/** Says what of a range one destination gets. */
export interface RangeSelector {
  /** True if it is all, always: then stored messages can be added up against those of the log. */
  readonly selectsEverything: boolean
  /**
   * Selects from records that were inspected: whole batches by their headers and lengths.
   * @param range of these records. Its `messageCount` is of all their messages, or, of a range that is repeated, of those selected before;
   *   the answer's range is the same with its own
   * @param revision of the routes that selected this range before, if one did: the same again if they are still known, else today's
   * @throws BATCH_CORRUPT if a batch had to be read and can't be; faults of the program
   */
  select(range: DeliveryRange, records: readonly LogRecord[], revision: string | undefined): Promise<SelectedRange>
}

/** Everything, undecoded: batches are joined behind one header, and no byte is copied. */
export const everything: RangeSelector = {
  selectsEverything: true,
  select: async (range, records) => new WholeBatches(range, records),
}

class WholeBatches implements SelectedRange {
  readonly range: DeliveryRange
  readonly revision = undefined
  readonly #records: readonly LogRecord[]
  #chunks: readonly Uint8Array[] | undefined

  constructor(range: DeliveryRange, records: readonly LogRecord[]) {
    this.range = range
    this.#records = records
  }

  async avro(): Promise<readonly Uint8Array[]> {
    this.#chunks ??= [batchHeader, ...this.#records.map(({ value }) => blocksOfBatch(value))]
    return this.#chunks
  }

  async *messages(): AsyncGenerator<readonly SelectedMessage[]> {
    const { topic, partition } = this.range
    for (const { offset, value } of this.#records)
      yield messagesOfBatch(value).map(({ envelope, bytes }, index) => ({
        ...envelope,
        id: messageId(topic, partition, offset, index),
        offset,
        index,
        byteCount: bytes.length,
        bytes,
      }))
  }
}
