import { readLong } from './avro-long.ts'
import { batchHeader, isBatch, syncMarker } from './batch.ts'
import { limits } from './limits.ts'

/** A batch seen from outside: its blocks are stepped over, not decompressed. */
export type BatchWalk =
  | {
      readonly kind: 'batch'
      readonly rowCount: number
      /** Upper bound of the uncompressed envelopes. */
      readonly bodyBytesMax: number
    }
  | { readonly kind: 'corrupt'; readonly text: string }

/** One block of a batch. Positions count in the batch. */
export interface BatchBlock {
  /** What it says; at least 1. */
  readonly messageCount: number
  /** Where its count begins. */
  readonly start: number
  /** The zstandard frame. */
  readonly frameStart: number
  readonly frameEnd: number
  /** Behind its sync marker. */
  readonly end: number
  /** Upper bound of the uncompressed envelopes, at most `limits.blockBytesMax`. */
  readonly plainBytesMax: number
}

const zstandardMagic = 0xfd2fb528

/** Steps over the blocks of a log record. HOT: a few dozen operations a block, nothing a message. */
export function walkBatch(value: Uint8Array): BatchWalk {
  const blocks = blocksIn(value)
  if (typeof blocks === 'string') return { kind: 'corrupt', text: blocks }
  let rowCount = 0
  let bodyBytesMax = 0
  for (const { messageCount, plainBytesMax } of blocks) {
    rowCount += messageCount
    bodyBytesMax += plainBytesMax
  }
  return { kind: 'batch', rowCount, bodyBytesMax }
}

/**
 * The blocks of a log record in order, or what is wrong with it.
 * What passes is a list of whole blocks, so that appending it to another batch can't damage that one.
 */
export function blocksIn(value: Uint8Array): BatchBlock[] | string {
  if (!isBatch(value)) return 'header or last sync marker differ from schema version 1'
  const blocks: BatchBlock[] = []
  let start = batchHeader.length
  while (start < value.length) {
    const count = readLong(value, start)
    const size = count && readLong(value, count.end)
    if (!size || count.value < 1) return `block at byte ${start} has no valid count and length`
    const frameStart = size.end
    const frameEnd = frameStart + size.value
    const end = frameEnd + syncMarker.length
    if (end > value.length || !hasSyncMarker(value, frameEnd))
      return `block at byte ${start} does not end with the sync marker`
    const plainBytesMax = plainBytesOfFrame(value, frameStart, frameEnd)
    if (plainBytesMax === undefined) return `block at byte ${start} is not a zstandard frame`
    // Memory of whoever decompresses it is bounded by this check.
    if (plainBytesMax > limits.blockBytesMax) return `block at byte ${start} is larger than a block may be`
    blocks.push({ messageCount: count.value, start, frameStart, frameEnd, end, plainBytesMax })
    start = end
  }
  return blocks
}

function hasSyncMarker(value: Uint8Array, start: number): boolean {
  for (let index = 0; index < syncMarker.length; index++) {
    if (value[start + index] !== syncMarker[index]) return false
  }
  return true
}

/**
 * Size of what a zstandard frame holds (RFC 8878 section 3.1.1.1): Frame_Content_Size if it is there, else the bound that
 * every block has; `undefined` if the bytes are not a frame.
 */
function plainBytesOfFrame(value: Uint8Array, start: number, end: number): number | undefined {
  if (end - start < 6) return undefined
  const view = new DataView(value.buffer, value.byteOffset + start, end - start)
  if (view.getUint32(0, true) !== zstandardMagic) return undefined
  const descriptor = view.getUint8(4)
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag
  if (at + sizeBytes > view.byteLength) return undefined
  switch (sizeBytes) {
    case 1:
      return view.getUint8(at)
    case 2:
      return view.getUint16(at, true) + 256
    case 4:
      return view.getUint32(at, true)
    case 8:
      return Number(view.getBigUint64(at, true))
    default:
      return limits.blockBytesMax
  }
}
