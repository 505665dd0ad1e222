/**
 * The messages of a record that go to one endpoint, for who reads them at once: as `selected-bytes.ts` hands them on, but not compressed again.
 *
 *   a block of which all go, nothing to stamp     that block as it is
 *   else                                          runs of selected envelopes copied one behind the other, so that the others are not kept
 */
import { assert } from '#runtime/assert.ts'
import { type Enricher, isTooLarge } from './enrichment.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import type { SelectedBlock, Selection } from './selection.ts'

export interface PlainSelected {
  /** Not to be changed: they may be those of the selection. */
  readonly blocks: readonly Buffer[]
  /** Index in the record of each message, in the order of the blocks. */
  readonly indexes: Uint32Array
}

/**
 * A message that stamps would make larger than a message may be is there without them: whoever reads has nowhere to put a dead letter.
 * @param endpoint by its index in the route set; one that is stamped is among the set's `decodedEndpoints`
 */
export function plainSelected(selection: Selection, endpoint: number, enricher: Enricher | undefined): PlainSelected {
  const stamping = enricher && new PlainStamping(enricher, selection)
  const blocks: Buffer[] = []
  const indexes = new Uint32Array(selection.countOf(endpoint))
  let count = 0
  for (const block of selection.decodedBlocks(endpoint)) {
    const parts: Uint8Array[] = []
    let taken = 0
    selection.runs(block, endpoint, (first, end) => {
      taken += end - first
      for (let message = first; message < end; message++) indexes[count++] = block.firstIndex + message
      if (stamping !== undefined) stamping.stamp(block, first, end, parts)
      else parts.push(block.plain.subarray(block.starts[first], block.starts[end]))
    })
    if (stamping === undefined && taken === block.messageCount) blocks.push(block.plain)
    else if (taken > 0) blocks.push(Buffer.concat(parts))
  }
  // An array of numbers takes what lies behind its end without a word.
  assert(count === indexes.length, `of ${indexes.length} selected messages each has its index, and not ${count}`)
  return { blocks, indexes }
}

class PlainStamping {
  readonly #enricher: Enricher
  readonly #selection: Selection
  readonly #scan = new EnvelopeScan()

  constructor(enricher: Enricher, selection: Selection) {
    this.#enricher = enricher
    this.#selection = selection
  }

  /** HOT: per message. */
  stamp({ plain, starts }: SelectedBlock, first: number, end: number, parts: Uint8Array[]): void {
    const scan = this.#scan
    scan.open(plain)
    for (let message = first; message < end; message++) {
      scan.enter(starts[message] as number)
      const maps = this.#enricher.mapsOf(scan, this.#selection.twins)
      if (isTooLarge(scan, maps)) parts.push(plain.subarray(scan.start, scan.end))
      else parts.push(plain.subarray(scan.start, scan.propertiesStart), maps.bytes)
    }
  }
}
