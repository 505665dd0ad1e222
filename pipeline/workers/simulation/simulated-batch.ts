import { batchFromBlock, batchHeader, syncMarker } from '#schemas/batch.ts'

// A zstandard frame of one segment and known size (RFC 8878): enough for whoever steps over it. The id stands where
// compressed data would, so that a checker recognises a batch in an insert.
const frameStart = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x20, 4])

/** A batch of one message that is recognisable by `id`. */
export function simulatedBatch(id: number): Uint8Array {
  const block = Buffer.alloc(frameStart.length + 4)
  frameStart.copy(block)
  block.writeUInt32BE(id, frameStart.length)
  return batchFromBlock(1, block)
}

/** Ids of the batches in an insert's chunks, in order. Throws if they are not one header and whole blocks. */
export function batchIdsOf(chunks: readonly Uint8Array[]): number[] {
  const file = Buffer.concat(chunks)
  if (!file.subarray(0, batchHeader.length).equals(batchHeader)) throw new Error('an insert without the header')
  const blockBytes = 2 + frameStart.length + 4 + syncMarker.length
  const ids: number[] = []
  for (let at = batchHeader.length; at < file.length; at += blockBytes) {
    const idAt = at + 2 + frameStart.length
    if (!file.subarray(idAt + 4, idAt + 4 + syncMarker.length).equals(syncMarker)) throw new Error('a torn block')
    ids.push(file.readUInt32BE(idAt))
  }
  return ids
}
