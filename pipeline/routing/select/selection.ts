import type { RoutingSource } from '#pipeline/routing/condition/condition.ts'
import { assert } from '#runtime/assert.ts'
import type { BlockVerdicts, RouteTally } from './selection-pass.ts'
import type { RecordTwins } from './sender-twins.ts'

/** Messages of one source that follow one another in a record. */
export interface SelectedBlock extends BlockVerdicts {
  readonly source: RoutingSource
  /** Their envelopes. Shared with whoever else got the selection: not to be changed. */
  readonly plain: Buffer
  /** Index of the first one in the record. */
  readonly firstIndex: number
  readonly messageCount: number
  /** The block that they stand in, as the record has it: count, length, frame and marker; undefined if they stand in none like this. */
  readonly stored: Uint8Array | undefined
}

/** Which messages of a record go to which endpoint. */
export class Selection {
  readonly messageCount: number
  /** Undefined where every message goes to the same endpoints and none was looked at. */
  readonly blocks: readonly SelectedBlock[] | undefined
  readonly tally: RouteTally
  /** What it was made with, and its messages are stamped with; undefined where no twin was asked for. */
  readonly twins: RecordTwins | undefined
  /** Bytes that it keeps alive. */
  readonly bytes: number
  readonly #maskWords: number
  readonly #counts: Uint32Array

  /** @param counts messages for each endpoint */
  private constructor(
    messageCount: number,
    blocks: readonly SelectedBlock[] | undefined,
    counts: Uint32Array,
    maskWords: number,
    tally: RouteTally,
    twins?: RecordTwins,
  ) {
    this.twins = twins
    this.messageCount = messageCount
    this.blocks = blocks
    this.tally = tally
    this.#counts = counts
    this.#maskWords = maskWords
    this.bytes = (blocks ?? []).reduce(
      (sum, { plain, starts, masks, stored }) =>
        sum + plain.length + starts.byteLength + masks.byteLength + (stored?.length ?? 0),
      selectionBytesMin + (twins?.bytes ?? 0),
    )
  }

  /** Every message goes to the endpoints of the mask. */
  static undecoded(messageCount: number, mask: Uint32Array, endpointCount: number, tally: RouteTally): Selection {
    const counts = new Uint32Array(endpointCount)
    addCounts(counts, mask, 0, mask.length, messageCount)
    return new Selection(messageCount, undefined, counts, mask.length, tally)
  }

  /** @param messageCount of the record; blocks may hold fewer, where some are no messages of any source */
  static decoded(
    messageCount: number,
    blocks: readonly SelectedBlock[],
    endpointCount: number,
    maskWords: number,
    tally: RouteTally,
    twins?: RecordTwins,
  ): Selection {
    for (const { masks, starts, messageCount: count } of blocks)
      assert(
        masks.length === count * maskWords && starts.length === count + 1,
        'each message of a block has a verdict, and each begins and ends somewhere',
      )
    const held = blocks.reduce((sum, block) => sum + block.messageCount, 0)
    assert(held <= messageCount, `blocks of a record of ${messageCount} messages do not hold ${held}`)
    const counts = new Uint32Array(endpointCount)
    for (const { masks } of blocks) {
      // Neighbours mostly go to the same endpoints, and are counted together.
      let start = 0
      for (let at = maskWords; at <= masks.length; at += maskWords) {
        if (at < masks.length && isSame(masks, start, at, maskWords)) continue
        addCounts(counts, masks, start, maskWords, (at - start) / maskWords)
        start = at
      }
    }
    return new Selection(messageCount, blocks, counts, maskWords, tally, twins)
  }

  /** How many messages go to the endpoint, by its index in the route set. */
  countOf(endpoint: number): number {
    return this.#counts[endpoint] ?? 0
  }

  /** `all`: the record's blocks may be handed on as they are. */
  of(endpoint: number): 'all' | 'some' | 'none' {
    const count = this.countOf(endpoint)
    const isWhole = this.blocks?.every(({ stored }) => stored !== undefined) ?? true
    if (count === 0) return 'none'
    return count === this.messageCount && isWhole ? 'all' : 'some'
  }

  /** The blocks, to take messages for the endpoint from. */
  decodedBlocks(endpoint: number): readonly SelectedBlock[] {
    assert(
      this.blocks !== undefined || this.countOf(endpoint) === 0,
      'messages are asked for that nobody was to look at',
    )
    return this.blocks ?? []
  }

  /** True if the message goes to the endpoint. */
  isSelected(block: SelectedBlock, message: number, endpoint: number): boolean {
    const bits = block.masks[message * this.#maskWords + (endpoint >> 5)] ?? 0
    return (bits & (1 << (endpoint & 31))) !== 0
  }

  /**
   * Runs of neighbouring messages of the block that go to the endpoint: `each` gets the index of the first one in the block, and of the
   * one behind the last.
   */
  runs(block: SelectedBlock, endpoint: number, each: (first: number, end: number) => void): void {
    for (let first = 0; first < block.messageCount; first++) {
      if (!this.isSelected(block, first, endpoint)) continue
      let end = first + 1
      while (end < block.messageCount && this.isSelected(block, end, endpoint)) end++
      each(first, end)
      first = end
    }
  }
}

/** About what the object itself and its counts take. */
const selectionBytesMin = 1_024

function addCounts(counts: Uint32Array, masks: Uint32Array, at: number, words: number, messages: number): void {
  for (let word = 0; word < words; word++) {
    for (let bits = masks[at + word] as number; bits !== 0; bits &= bits - 1) {
      const endpoint = word * 32 + 31 - Math.clz32(bits & -bits)
      counts[endpoint] = (counts[endpoint] ?? 0) + messages
    }
  }
}

function isSame(masks: Uint32Array, left: number, right: number, words: number): boolean {
  for (let word = 0; word < words; word++) {
    if (masks[left + word] !== masks[right + word]) return false
  }
  return true
}
