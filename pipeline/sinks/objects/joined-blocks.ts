import { unavailable } from '#pipeline/endpoints/endpoint-error.ts'

/**
 * What a file is made of, which had so many bytes when it was measured. A client may put a block anew while its file is made of it: the file
 * might be longer than may be.
 * @throws EndpointError, at the latest where it would end
 */
export async function* joinedTo(bytes: number, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let left = bytes
  for await (const chunk of content) {
    left -= chunk.length
    if (left < 0) throw changed()
    yield chunk
  }
  if (left > 0) throw changed()
}

const changed = () => unavailable('a block changed while its file was made', 'InternalError')
