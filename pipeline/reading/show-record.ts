/**
 * What a record shows to readers.
 *
 *   telemetry, twin events   the messages as they lie there
 *   device events            those of which the hub has a message, as that message; the others are left out
 *   as routes say            `built-in-endpoint.ts`
 */
import { type BlockReader, blocksOf } from '#pipeline/routing/select/block-reader.ts'
import { envelopesIn } from '#pipeline/routing/select/envelope-reading.ts'
import { eventMessageOf } from '#pipeline/routing/select/event-message.ts'
import { envelopeBytes } from '#schemas/batch.ts'
import type { ShownRecord } from './reading.ts'

export type ShownMessages = Pick<ShownRecord, 'blocks' | 'indexes' | 'edition'>

/** Rejects with BATCH_CORRUPT. @param value a batch of schema version 1 */
export type ShowRecord = (value: Uint8Array) => Promise<ShownMessages>

/** What readers are shown of the records of a topic. */
export interface RecordView {
  /** What was shown of another revision is not shown again. */
  readonly revision: number
  readonly show: ShowRecord
}

/** Whoever shows a record in the same way for ever. */
const always = { revision: 0, edition: 0 } as const

/** @param reader shared by a process */
export function showMessages(reader: BlockReader): RecordView {
  const { revision, edition } = always
  return {
    revision,
    show: async (value) => ({ blocks: await reader.read(value, blocksOf(value)), indexes: undefined, edition }),
  }
}

/** @param hubName in the messages that events become */
export function showEvents(reader: BlockReader, hubName: string): RecordView {
  const { revision, edition } = always
  const show: ShowRecord = async (value) => {
    const [messages, indexes]: [Buffer[], number[]] = [[], []]
    let index = 0
    for (const block of await reader.read(value, blocksOf(value))) {
      for (const stored of envelopesIn(block)) {
        const message = eventMessageOf(stored, hubName)
        if (message !== undefined) {
          messages.push(envelopeBytes(message.envelope))
          indexes.push(index)
        }
        index++
      }
    }
    return { blocks: [Buffer.concat(messages)], indexes: Uint32Array.from(indexes), edition }
  }
  return { revision, show }
}
