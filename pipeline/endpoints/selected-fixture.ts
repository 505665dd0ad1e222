import type { DeliveryRange } from './delivery-range.ts'
import type { SelectedRange } from './selected-range.ts'

/** A range whose bytes are these; its messages are not asked for. */
export function selectedOf(range: DeliveryRange, chunks: readonly Uint8Array[]): SelectedRange {
  return {
    range,
    revision: undefined,
    avro: async () => chunks,
    // biome-ignore lint/correctness/useYield: nobody asks
    async *messages() {
      throw new Error('only its bytes are there')
    },
  }
}
