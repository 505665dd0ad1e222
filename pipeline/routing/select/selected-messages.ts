import type { Envelope } from '#schemas/batch.ts'
import { type Enricher, isTooLarge } from './enrichment.ts'
import { envelopeOf } from './envelope-reading.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import type { Selection } from './selection.ts'

export interface SelectedMessage extends Envelope {
  /** In the record; with topic, partition and offset it names the message for good. */
  readonly index: number
  /** Stamps made it larger than a message may be: a letter, not for the endpoint. */
  readonly isTooLarge: boolean
}

/**
 * The messages that go to the endpoint, decoded one by one as they are asked for, and stamped. Bodies are views of the selection's blocks.
 * @param endpoint by its index in the route set, among the set's `decodedEndpoints`
 */
export function* selectedMessages(
  selection: Selection,
  endpoint: number,
  enricher?: Enricher,
): Generator<SelectedMessage> {
  const scan = new EnvelopeScan()
  for (const block of selection.decodedBlocks(endpoint)) {
    scan.open(block.plain)
    for (let message = 0; message < block.messageCount; message++) {
      if (!selection.isSelected(block, message, endpoint)) continue
      scan.enter(block.starts[message] as number)
      const envelope = envelopeOf(scan)
      const index = block.firstIndex + message
      if (enricher === undefined) yield { ...envelope, index, isTooLarge: false }
      else {
        const { twins } = selection
        const properties = { ...envelope.properties, ...Object.fromEntries(enricher.stampsOf(scan, twins)) }
        yield { ...envelope, properties, index, isTooLarge: isTooLarge(scan, enricher.mapsOf(scan, twins)) }
      }
    }
  }
}
