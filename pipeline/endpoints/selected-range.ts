import type { Envelope } from '#schemas/batch.ts'
import type { DeliveryRange } from './delivery-range.ts'

/** What a destination gets of a range. It gives the same bytes and messages however often it is asked. */
export interface SelectedRange {
  readonly range: DeliveryRange
  /** Names the routes that selected; `undefined` if everything always is. The same revision selects the same bytes again. */
  readonly revision: string | undefined
  /** Neither counted in the range nor among its bytes and messages: they become dead letters before it is delivered. */
  readonly unfit?: readonly UnfitMessage[]
  /**
   * Together one Avro object container file of what was selected (`schemas/batch.ts`): one header, then blocks. Batches of which
   * everything is selected are the bytes that lie on the log, undecoded. Not to be changed.
   */
  avro(): Promise<readonly Uint8Array[]>
  /**
   * The messages in their order, a block or a batch at a time; decoded as they are asked for.
   * @throws BATCH_CORRUPT if a batch can't be read, when it is reached
   */
  messages(): AsyncIterable<readonly SelectedMessage[]>
}

/** One message, with the routes' enrichments among its properties. */
export interface SelectedMessage extends Envelope {
  /** `topic/partition/offset/index`: the same in every attempt, and no other message has it. */
  readonly id: string
  /** Offset of its batch. */
  readonly offset: number
  /** Which message of its batch, from 0. */
  readonly index: number
  /** Length of `bytes`. */
  readonly byteCount: number
  /** The envelope as Avro writes it, so that a batch can be made of it again; may be made only when it is asked for. */
  readonly bytes: Uint8Array
}

/** A selected message that no destination may get: the routes' enrichments made it larger than a message may be. */
export interface UnfitMessage {
  /** As the device sent it. */
  readonly message: SelectedMessage
  readonly text: string
}

/** `SelectedMessage.id` */
export function messageId(topic: string, partition: number, offset: number, index: number): string {
  return `${topic}/${partition}/${offset}/${index}`
}
