import { limits } from '#schemas/limits.ts'
import { type Enricher, isTooLarge } from './enrichment.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import type { Selection } from './selection.ts'

/**
 * Messages for the endpoint that its stamps make larger than a message may be, by their index in the record. Only those are looked at
 * whose envelopes leave no room for the stamps: hardly any.
 * @param endpoint by its index in the route set, among the set's `decodedEndpoints`
 */
export function oversizedIn(selection: Selection, endpoint: number, enricher: Enricher): number[] {
  const roomMax = limits.bodyBytesMax - enricher.stampBytesMax(selection.twins)
  const found: number[] = []
  const scan = new EnvelopeScan()
  for (const block of selection.decodedBlocks(endpoint)) {
    scan.open(block.plain)
    for (let message = 0; message < block.messageCount; message++) {
      const start = block.starts[message] ?? 0
      if ((block.starts[message + 1] ?? 0) - start <= roomMax || !selection.isSelected(block, message, endpoint))
        continue
      scan.enter(start)
      if (isTooLarge(scan, enricher.mapsOf(scan, selection.twins))) found.push(block.firstIndex + message)
    }
  }
  return found
}
