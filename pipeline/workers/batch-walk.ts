import { readLong } from '#schemas/avro-long.ts'
import { batchHeader, isBatch, syncMarker } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'

/** A batch seen from outside: its blocks are stepped over, not decompressed. */
export type BatchWalk =
  | {
      readonly kind: 'batch'
      readonly rowCount: number
      /** Upper bound of the uncompressed envelopes. */
      readonly bodyBytesMax: number
    }
  | { readonly kind: 'corrupt'; readonly text: string }

const zstandardMagic = 0xfd2fb528

/**
 * Steps over the blocks of a log record. HOT: a few dozen operations a block, nothing a message.
 * What passes is a list of whole blocks, so that appending it to another batch can't damage that one.
 */
export function walkBatch(value: Uint8Array): BatchWalk {
  if (!isBatch(value)) return corrupt('header or last sync marker differ from schema version 1')
  let position = batchHeader.length
  let rowCount = 0
  let bodyBytesMax = 0
  while (position < value.length) {
    const count = readLong(value, position)
    const size = count && readLong(value, count.end)
    if (!size || count.value < 1) return corrupt(`block at byte ${position} has no valid count and length`)
    const end = size.end + size.value
    if (end + syncMarker.length > value.length || !hasSyncMarker(value, end))
      return corrupt(`block at byte ${position} does not end with the sync marker`)
    const plainBytes = plainBytesOfFrame(value, size.end, end)
    if (plainBytes === undefined) return corrupt(`block at byte ${position} is not a zstandard frame`)
    // Memory of whoever decompresses it is bounded by this check.
    if (plainBytes > limits.blockBytesMax) return corrupt(`block at byte ${position} is larger than a block may be`)
    rowCount += count.value
    bodyBytesMax += plainBytes
    position = end + syncMarker.length
  }
  return { kind: 'batch', rowCount, bodyBytesMax }
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

function corrupt(text: string): BatchWalk {
  return { kind: 'corrupt', text }
}
