import type { Transform } from 'node:stream'
import { constants, createBrotliCompress, createDeflate, createGzip, createZstdCompress } from 'node:zlib'
import { Lz4Encoder } from './lz4-frame.ts'

/** Node's default is 11, at which a core compresses a megabyte a second. */
const brotliQuality = 3

/** A stream that a result passes through. */
export interface ReplyEncoder extends Transform {
  /** Flushes what was written so far. Left out if the stream does so by itself. */
  flush?(): void
}

/** Content encodings of responses, in the order in which they are preferred. */
const encoders: ReadonlyMap<string, () => ReplyEncoder> = new Map<string, () => ReplyEncoder>([
  ['gzip', () => createGzip()],
  ['zstd', () => createZstdCompress()],
  ['br', () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: brotliQuality } })],
  ['deflate', () => createDeflate()],
  // Last, since it is the one that runs on this thread.
  ['lz4', () => new Lz4Encoder()],
])

/** The encoding to answer with, by the request's Accept-Encoding [RFC 9110, 12.5.3]; `undefined` to answer as it is. */
export function replyEncodingFor(
  accepted: string,
): { readonly name: string; readonly encoder: ReplyEncoder } | undefined {
  const names = new Set<string>()
  for (const item of accepted.toLowerCase().split(',')) {
    const [name = '', ...parameters] = item.split(';').map((part) => part.trim())
    if (!parameters.some((parameter) => /^q\s*=\s*0(\.0*)?$/.test(parameter))) names.add(name)
  }
  for (const [name, create] of encoders) if (names.has(name)) return { name, encoder: create() }
  return undefined
}
