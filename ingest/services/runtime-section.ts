import type { PartitionRuntime } from '#pipeline/reading/reading.ts'
import { sections } from '#runtime/amqp/message.ts'
import { described, encode, long, mapOf, symbol } from '#runtime/amqp/write-values.ts'

/** Delivery annotations from which clients know how far they are behind. */
export function runtimeSection({ sequenceLast, enqueuedAtMsLast }: PartitionRuntime, atMs: number): Buffer {
  const entries = [
    [symbol('last_enqueued_sequence_number'), long(sequenceLast)],
    [symbol('last_enqueued_offset'), String(sequenceLast)],
    [symbol('last_enqueued_time_utc'), new Date(enqueuedAtMsLast ?? 0)],
    [symbol('runtime_info_retrieval_time_utc'), new Date(atMs)],
  ] as const
  return encode(described(sections.deliveryAnnotations, mapOf(entries)))
}
