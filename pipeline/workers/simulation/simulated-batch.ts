import {
  batchFromBlock,
  batchFromMessages,
  batchHeader,
  envelopeBytes,
  envelopesOfBatch,
  syncMarker,
} from '#schemas/batch.ts'

// A zstandard frame of one segment and known size (RFC 8878) whose content is nonsense: whoever steps over it is content,
// whoever unpacks it is not.
const unreadableBlock = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 4, 0xff, 0xff, 0xff, 0xff])

/** A message that is recognisable as the `index`th of batch `id`. */
export interface SimulatedMessage {
  readonly id: number
  readonly index: number
}

/** A batch of `messageCount` messages, recognisable by `id`, each with properties if they are given. */
export function simulatedBatch(
  id: number,
  messageCount = 1,
  enqueuedAtMs = 0,
  propertiesOf: (index: number) => Readonly<Record<string, string>> = () => ({}),
): Uint8Array {
  return batchFromMessages(
    Array.from({ length: messageCount }, (_, index) => ({
      bytes: envelopeBytes({
        deviceId: 'd',
        enqueuedAtMs,
        body: Buffer.from(keyOf({ id, index })),
        properties: propertiesOf(index),
        systemProperties: {},
      }),
    })),
  )
}

/** Whole from outside, damaged within: no sink can take it. */
export function unreadableBatch(messageCount: number): Uint8Array {
  return batchFromBlock(messageCount, unreadableBlock)
}

export function keyOf({ id, index }: SimulatedMessage): string {
  return `${id}/${index}`
}

/** Messages of an insert's chunks, in order. @throws BATCH_CORRUPT if one is unreadable; an error if the chunks are torn */
export function messagesOf(chunks: readonly Uint8Array[]): SimulatedMessage[] {
  const file = Buffer.concat(chunks)
  if (!file.subarray(0, batchHeader.length).equals(batchHeader)) throw new Error('an insert without the header')
  if (!file.subarray(-syncMarker.length).equals(syncMarker)) throw new Error('an insert with a torn block')
  return envelopesOfBatch(file).map(({ body }) => {
    const [id = Number.NaN, index = Number.NaN] = Buffer.from(body).toString().split('/').map(Number)
    return { id, index }
  })
}
