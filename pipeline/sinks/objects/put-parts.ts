import { assert } from '#runtime/assert.ts'
import { gatherParts } from './gather-parts.ts'

/** How a store takes an object that is more than one request may hold. */
export interface PartedUpload {
  /** @param index from 0 */
  putPart(index: number, part: Buffer): Promise<void>
  /** Makes the object of its parts, at once. */
  complete(): Promise<void>
  /** Removes the parts. What it can't remove, a later `ObjectStore.sweep` does. */
  abandon(): Promise<void>
}

/**
 * Puts content in one request, or in several if it is longer than `partBytes`. Holds two parts at most.
 * @param putWhole of an object that fits one request
 * @param begin of one that doesn't
 */
export async function putParts(
  content: AsyncIterable<Uint8Array>,
  partBytes: number,
  putWhole: (content: Buffer) => Promise<void>,
  begin: () => Promise<PartedUpload>,
): Promise<void> {
  let upload: PartedUpload | undefined
  let held: Buffer | undefined
  let index = 0
  try {
    for await (const part of gatherParts(content, partBytes)) {
      if (held !== undefined) {
        assert(held.length === partBytes, 'stores take no part but the last that is shorter than the others')
        upload ??= await begin()
        await upload.putPart(index++, held)
      }
      held = part
    }
    if (upload === undefined) return await putWhole(held ?? Buffer.alloc(0))
    if (held !== undefined) await upload.putPart(index, held)
    await upload.complete()
  } catch (error) {
    await upload?.abandon()
    throw error
  }
}
