import { assert } from '#runtime/assert.ts'

/** What is delivered at once: the batches from offset `first` to `last` of one partition, contiguous and of one UTC day. */
export interface DeliveryRange {
  readonly topic: string
  readonly partition: number
  readonly first: number
  readonly last: number
  /** Messages of the range that are delivered: those that the destination's routes select. */
  readonly messageCount: number
  /** Smallest and largest stamp of its batches, UTC milliseconds, both within one UTC day. */
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
  /** Of a batch that is delivered in parts: which part. Then `first` and `last` are that batch. */
  readonly part?: BatchPart | undefined
}

/** Messages `first` to `first + length - 1` of a batch, by their place in it, whether selected or not. */
export interface BatchPart {
  readonly first: number
  readonly length: number
  /** Messages that the parts before this one have stored. */
  readonly storedBefore: number
}

/** Messages under one position: those of one insert, or of all parts of one batch. */
export interface RowGroup {
  readonly offset: number
  /** At least one; with `last` it may be less than there are, since what is named by its range need not be counted. */
  readonly rowCount: number
  /** Earliest and latest of them, UTC milliseconds. */
  readonly enqueuedAtMsFirst: number
  readonly enqueuedAtMsLast: number
  /** Last offset of the insert, from a destination that keeps it; left out for a part of a batch. */
  readonly last?: number | undefined
}

/** What a destination says that it holds under one position, for whoever compares it with the log. */
export interface HeldRange {
  readonly offset: number
  /** Last offset of the insert; `undefined` of a part of a batch, or from a destination that does not keep it. */
  readonly last: number | undefined
  /** `undefined` where it can't be told without reading all of it: then it is there, which is all that is known. */
  readonly messageCount: number | undefined
  /** The latest of its messages, UTC milliseconds. */
  readonly enqueuedAtMsLast: number
}

/** The answer of `TableSink.stored` from a destination that knows each range by its name: it is there, or it is not. */
export function storedCount({ messageCount, part }: DeliveryRange, isStored: boolean): number {
  assert(messageCount > 0, `only a range with messages is stored, and not one of ${messageCount}`)
  return (part?.storedBefore ?? 0) + (isStored ? messageCount : 0)
}

/** What may be gathered into one range. The first batch always goes, however large. */
export interface RangeLimits {
  readonly messagesMax: number
  /** Compressed, as on the log. */
  readonly bytesMax: number
  readonly envelopeBytesMax: number
}
