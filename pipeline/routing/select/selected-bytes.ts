/**
 * The messages of a record that go to one endpoint, as blocks of a batch.
 *
 *   all, nothing to stamp     the record's blocks as they are
 *   a block of which all go   that block as it is
 *   else                      runs of selected envelopes copied one behind the other and compressed, `limits.blockBytesMax` a block
 */

import { assert } from '#runtime/assert.ts'
import type { BlockCompressor } from '#runtime/block-compressor.ts'
import { batchFromBlock, batchHeader, blocksOfBatch } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { type Enricher, isTooLarge } from './enrichment.ts'
import { EnvelopeScan } from './envelope-scan.ts'
import type { SelectedBlock, Selection } from './selection.ts'
import type { RecordTwins } from './sender-twins.ts'

export interface SelectedBytes {
  /** Whole blocks without a header; behind `batchHeader` they are a batch. Views of the record where they are as it has them. */
  readonly blocks: readonly Uint8Array[]
  readonly messageCount: number
  /** Indexes in the record of messages that stamps made larger than a message may be. They are in no block. */
  readonly tooLarge: readonly number[]
}

export interface SelectedEncoderOptions {
  readonly compressor: BlockCompressor
  /** Undefined if the endpoint's messages are not stamped. */
  readonly enricher?: Enricher | undefined
}

/** Of one endpoint. */
export class SelectedEncoder {
  readonly #compressor: BlockCompressor
  readonly #enricher: Enricher | undefined
  /** Of blocks that are compressed, for the next ones. */
  readonly #buffers: Buffer[] = []

  constructor({ compressor, enricher }: SelectedEncoderOptions) {
    this.#compressor = compressor
    this.#enricher = enricher
  }

  /**
   * @param value the record that the selection is of
   * @param endpoint by its index in the route set. One that is stamped is among the set's `decodedEndpoints`
   */
  async encode(value: Uint8Array, selection: Selection, endpoint: number): Promise<SelectedBytes> {
    if (selection.of(endpoint) === 'all' && this.#enricher === undefined)
      return { blocks: [blocksOfBatch(value)], messageCount: selection.messageCount, tooLarge: [] }
    const writer = new BlockWriter(this.#compressor, this.#buffers)
    const stamping = this.#enricher && new Stamping(this.#enricher, selection.twins, writer)
    for (const block of selection.decodedBlocks(endpoint)) {
      if (stamping !== undefined) selection.runs(block, endpoint, (first, end) => stamping.stamp(block, first, end))
      else copySelected(selection, block, endpoint, writer)
    }
    const blocks = await writer.finish()
    const tooLarge = stamping?.tooLarge ?? []
    const selected = selection.countOf(endpoint)
    assert(
      writer.messageCount + tooLarge.length === selected,
      `of ${selected} selected messages each is in a block or too large, and not ${writer.messageCount} and ${tooLarge.length}`,
    )
    return { blocks, messageCount: writer.messageCount, tooLarge }
  }
}

/** A batch of selected blocks. */
export function batchOf({ blocks }: SelectedBytes): Buffer {
  return Buffer.concat([batchHeader, ...blocks])
}

function copySelected(selection: Selection, block: SelectedBlock, endpoint: number, writer: BlockWriter): void {
  const { plain, starts, messageCount, stored } = block
  selection.runs(block, endpoint, (first, end) => {
    if (stored !== undefined && end - first === messageCount) writer.pass(stored, messageCount)
    else writer.copy(plain, starts, first, end)
  })
}

/** Copies selected messages with stamped properties. */
class Stamping {
  readonly tooLarge: number[] = []
  readonly #enricher: Enricher
  readonly #twins: RecordTwins | undefined
  readonly #writer: BlockWriter
  readonly #scan = new EnvelopeScan()

  constructor(enricher: Enricher, twins: RecordTwins | undefined, writer: BlockWriter) {
    this.#enricher = enricher
    this.#twins = twins
    this.#writer = writer
  }

  /** HOT: per message. */
  stamp({ plain, starts, firstIndex }: SelectedBlock, first: number, end: number): void {
    const scan = this.#scan
    scan.open(plain)
    for (let message = first; message < end; message++) {
      scan.enter(starts[message] as number)
      const maps = this.#enricher.mapsOf(scan, this.#twins)
      if (isTooLarge(scan, maps)) this.tooLarge.push(firstIndex + message)
      else this.#writer.join(plain, scan.start, scan.propertiesStart, maps.bytes)
    }
  }
}

/** Few records have more blocks. */
const buffersKeptMax = 4

/** Gathers envelopes into blocks, which are compressed while the next one is gathered. */
class BlockWriter {
  messageCount = 0
  readonly #compressor: BlockCompressor
  readonly #blocks: Promise<Uint8Array>[] = []
  readonly #buffers: Buffer[]
  #open: Buffer | undefined
  #openLength = 0
  #openCount = 0

  /** @param buffers where those of blocks come from and go back to, `limits.blockBytesMax` each */
  constructor(compressor: BlockCompressor, buffers: Buffer[]) {
    this.#compressor = compressor
    this.#buffers = buffers
  }

  /** A block that stands in a record. */
  pass(stored: Uint8Array, messageCount: number): void {
    this.#close()
    this.#blocks.push(Promise.resolve(stored))
    this.messageCount += messageCount
  }

  /** Messages `first` to before `end` of a block. HOT: per run. */
  copy(plain: Buffer, starts: Uint32Array, first: number, end: number): void {
    let from = first
    while (from < end) {
      const start = starts[from] as number
      let to = end
      // Most runs fit; of others as many messages as do, and one does, since it stood in a block.
      const room = limits.blockBytesMax - this.#openLength
      while (to > from && (starts[to] as number) - start > room) to--
      if (to === from) {
        assert(this.#openCount > 0, 'a message that stood in a block fits one that is empty')
        this.#close()
        continue
      }
      const target = this.#room()
      const copied = plain.copy(target, this.#openLength, start, starts[to])
      assert(copied === (starts[to] as number) - start, 'messages are copied whole')
      this.#openLength += copied
      this.#openCount += to - from
      from = to
    }
  }

  /** One message: the envelope up to its maps, and other maps. HOT: per stamped message. */
  join(plain: Buffer, start: number, end: number, maps: Uint8Array): void {
    if (this.#openLength + end - start + maps.length > limits.blockBytesMax) this.#close()
    const target = this.#room()
    this.#openLength += plain.copy(target, this.#openLength, start, end)
    target.set(maps, this.#openLength)
    this.#openLength += maps.length
    this.#openCount++
  }

  async finish(): Promise<Uint8Array[]> {
    this.#close()
    return Promise.all(this.#blocks)
  }

  #room(): Buffer {
    this.#open ??= this.#buffers.pop() ?? Buffer.allocUnsafeSlow(limits.blockBytesMax)
    return this.#open
  }

  #close(): void {
    if (this.#open === undefined || this.#openCount === 0) return
    const buffer = this.#open
    assert(this.#openLength <= buffer.length, 'what is joined to a block fits it')
    const plain = buffer.subarray(0, this.#openLength)
    const count = this.#openCount
    this.messageCount += count
    this.#open = undefined
    this.#openLength = 0
    this.#openCount = 0
    this.#blocks.push(
      new Promise((resolve) => {
        this.#compressor.compress(plain, (frame) => {
          if (this.#buffers.length < buffersKeptMax) this.#buffers.push(buffer)
          resolve(blocksOfBatch(batchFromBlock(count, frame)))
        })
      }),
    )
  }
}
