/**
 * The Native format as a client with a protocol revision reads it (clickhouse-go, and so Grafana's data source, over HTTP with
 * `client_protocol_version`). The engine writes revision 0 only; the newer form adds three things and leaves the rest:
 *
 *   block = [block info: 01 overflows=00 02 bucket=ffffffff 00]      from revision 51903
 *           columns · rows · columns × ( name · type · [custom serialization = 00]  from revision 54454
 *                                        · data, absent if rows = 0 )
 *   type  = DateTime('zone') where it was DateTime                   from revision 54337
 *
 * To find the end of a column, its data must be skipped (`native-types.ts`).
 * Source: ClickHouse src/Formats/NativeWriter.cpp.
 */

import { assert } from '#runtime/assert.ts'
import { EngineError } from './engine-error.ts'
import { Cursor, notWhole, stepColumn } from './native-types.ts'

const blockInfoRevision = 51_903
const zonesRevision = 54_337
const customSerializationRevision = 54_454
const blockInfo = Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0])
const noCustomSerialization = Buffer.from([0])

/**
 * Rewrites a stream of Native blocks; holds one or two blocks.
 * @param typesOf called once if there is a DateTime; returns the types of the columns, or undefined if they are not known
 * @param onFault called as soon as the result is bound to fail; `source` is still read to its end
 * @throws EngineError 48 for a type that it can't skip, after the end of `source`
 */
export async function* nativeAtRevision(
  source: AsyncIterable<Buffer>,
  revision: number,
  typesOf: () => Promise<readonly string[] | undefined>,
  onFault: (fault: unknown) => void,
): AsyncGenerator<Buffer, void> {
  let parts: Buffer[] = []
  let length = 0
  let nextLook = 0
  let fault: unknown
  let types: ReturnType<typeof typesOf> | undefined
  const piecesOf = async ({ pieces, times }: Block): Promise<readonly Buffer[]> => {
    if (times.length === 0) return pieces
    types ??= typesOf()
    const found = await types
    for (const { piece, column } of times) pieces[piece] = typeText(found?.[column])
    return pieces
  }
  for await (const chunk of source) {
    if (fault !== undefined) continue // the source must be read to its end whatever happens
    parts.push(chunk)
    length += chunk.length
    if (length < nextLook) continue
    let rest: Buffer = Buffer.concat(parts)
    try {
      while (true) {
        const block = rewrittenBlock(rest, revision)
        if (!block) break
        yield* await piecesOf(block)
        rest = rest.subarray(block.end)
      }
    } catch (error) {
      fault = error
      onFault(error)
    }
    parts = [rest]
    length = rest.length
    nextLook = length * 2
  }
  let rest: Buffer = Buffer.concat(parts)
  while (fault === undefined && rest.length > 0) {
    const block = rewrittenBlock(rest, revision)
    if (!block) throw new EngineError(33, 'CANNOT_READ_ALL_DATA', 'The result ended within a block')
    yield* await piecesOf(block)
    rest = rest.subarray(block.end)
  }
  if (fault !== undefined) throw fault
}

interface Block {
  readonly pieces: Buffer[]
  readonly end: number
  /** Pieces that hold the type DateTime, whose zone is missing. */
  readonly times: readonly { readonly piece: number; readonly column: number }[]
}

function typeText(type: string | undefined): Buffer {
  const text = type?.startsWith(`${plainTime}(`) ? type : plainTime
  assert(text.length < 0x80, 'the length of a type that is a time and its zone takes one byte')
  return Buffer.from(`${String.fromCharCode(text.length)}${text}`, 'latin1')
}

const plainTime = 'DateTime'

/** The first block of `bytes` as pieces in the newer form; `undefined` if the block is not complete. */
function rewrittenBlock(bytes: Buffer, revision: number): Block | undefined {
  if (bytes.length === 0) return undefined
  const cursor = new Cursor(bytes)
  const pieces: Buffer[] = revision >= blockInfoRevision ? [blockInfo] : []
  try {
    let start = 0
    const times: { piece: number; column: number }[] = []
    const columns = cursor.varint()
    const rows = cursor.varint()
    for (let column = 0; column < columns; column += 1) {
      cursor.text()
      const typeStart = cursor.at
      const type = cursor.text()
      if (type === plainTime && revision >= zonesRevision) {
        pieces.push(bytes.subarray(start, typeStart), bytes.subarray(typeStart, cursor.at))
        times.push({ piece: pieces.length - 1, column })
        start = cursor.at
      }
      if (revision >= customSerializationRevision) {
        pieces.push(bytes.subarray(start, cursor.at), noCustomSerialization)
        start = cursor.at
      }
      if (rows > 0) stepColumn(type, rows, cursor)
    }
    pieces.push(bytes.subarray(start, cursor.at))
    return { pieces, end: cursor.at, times }
  } catch (error) {
    if (error === notWhole) return undefined
    throw error
  }
}
