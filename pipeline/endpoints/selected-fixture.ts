import { envelopeBytes } from '#schemas/batch.ts'
import type { DeliveryRange } from './delivery-range.ts'
import { selectedFromMessages } from './selected-messages.ts'
import { messageId, type SelectedMessage, type SelectedRange } from './selected-range.ts'

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

export interface TestMessage {
  readonly deviceId: string
  readonly body: string
}

const testTimeMs = Date.UTC(2026, 0, 2)

/** Messages of one batch at an offset, as they come out of a selection. */
export function messagesAt(offset: number, bodies: readonly string[], partition = 0): SelectedMessage[] {
  return bodies.map((body, index) => {
    const envelope = {
      deviceId: `device-${index % 3}`,
      enqueuedAtMs: testTimeMs + offset,
      body: Buffer.from(body),
      properties: { place: String(index), 'é ': '\u{1f600}' },
      systemProperties: { contentType: 'application/json', contentEncoding: 'utf-8' },
    }
    const bytes = envelopeBytes(envelope)
    const id = messageId('test', partition, offset, index)
    return { ...envelope, id, offset, index, byteCount: bytes.length, bytes }
  })
}

/** A range of whole batches from `first` on, one batch for each list of bodies. */
export function rangeAt(first: number, batches: readonly (readonly string[])[], partition = 0): SelectedRange {
  const messages = batches.flatMap((bodies, index) => messagesAt(first + index, bodies, partition))
  const last = first + batches.length - 1
  return selectedFromMessages({ topic: 'test', partition, first, last, ...timesAt(first, last) }, messages)
}

/** Part of the batch at `offset`. */
export function partAt(offset: number, bodies: readonly string[], from: number, length: number): SelectedRange {
  const part = { first: from, length, storedBefore: from }
  const range = { topic: 'test', partition: 0, first: offset, last: offset, ...timesAt(offset, offset), part }
  return selectedFromMessages(range, messagesAt(offset, bodies).slice(from, from + length))
}

/** The token of a range or part, as the worker makes it. */
export function tokenAt({ range: { topic, partition, first, last, part } }: SelectedRange): string {
  const token = `${topic}/${partition}/${first}-${last}/edge-1.1767000000000.${first}`
  return part ? `${token}#${part.first}+${part.length}` : token
}

function timesAt(first: number, last: number): { enqueuedAtMsFirst: number; enqueuedAtMsLast: number } {
  return { enqueuedAtMsFirst: testTimeMs + first, enqueuedAtMsLast: testTimeMs + last }
}
