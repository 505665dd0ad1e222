import { assert } from '#runtime/assert.ts'

/** Joins chunks of any length to parts of `partBytes`, and a last one of what is left; nothing if there is nothing. */
export async function* gatherParts(content: AsyncIterable<Uint8Array>, partBytes: number): AsyncGenerator<Buffer> {
  assert(partBytes > 0, 'a part has bytes')
  let part = Buffer.allocUnsafe(partBytes)
  let length = 0
  for await (const chunk of content) {
    for (let from = 0; from < chunk.length; ) {
      const to = Math.min(chunk.length, from + partBytes - length)
      part.set(chunk.subarray(from, to), length)
      length += to - from
      from = to
      if (length < partBytes) continue
      yield part
      part = Buffer.allocUnsafe(partBytes)
      length = 0
    }
  }
  if (length > 0) yield part.subarray(0, length)
}
