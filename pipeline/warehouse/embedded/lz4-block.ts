/**
 * LZ4's block format: sequences of
 *
 *   token (literals << 4 | match - 4) · [more literals] · literals · distance, 2 bytes, little endian · [more match]
 *
 * where a length of 15 goes on in bytes of 255 until one is less; the last sequence ends after its literals. A match may overlap
 * what it writes. Source: lz4 doc/lz4_Block_format.md.
 */
import { assert } from '#runtime/assert.ts'
import { EngineError } from './engine-error.ts'

const matchMin = 4
/** The last match must begin at least this many bytes before the end, and the last five bytes are literals. Decoders rely on both. */
const matchEndBytes = 12
const literalEndBytes = 5
const distanceMax = 65_535
const hashBits = 13

/**
 * Decodes `source` into `target`, beginning at `at`. Matches may reach back to the first byte of `target`.
 * @returns the end of the written bytes
 * @throws EngineError CANNOT_DECOMPRESS
 */
export function decodeLz4Block(source: Uint8Array, target: Uint8Array, at: number): number {
  let from = 0
  let to = at
  while (from < source.length) {
    const token = source[from++] ?? 0
    let literals = token >> 4
    if (literals === 15) for (let more = 255; more === 255; literals += more) more = source[from++] ?? fail()
    if (from + literals > source.length || to + literals > target.length) fail()
    target.set(source.subarray(from, from + literals), to)
    from += literals
    to += literals
    if (from === source.length) return to
    const distance = (source[from] ?? 0) | ((source[from + 1] ?? fail()) << 8)
    from += 2
    let match = (token & 15) + matchMin
    if ((token & 15) === 15) for (let more = 255; more === 255; match += more) more = source[from++] ?? fail()
    if (distance === 0 || distance > to || to + match > target.length) fail()
    if (distance >= match) target.copyWithin(to, to - distance, to - distance + match)
    else for (let index = to; index < to + match; index++) target[index] = target[index - distance] ?? 0
    to += match
  }
  return fail()
}

function fail(): never {
  throw new EngineError(271, 'CANNOT_DECOMPRESS', 'Cannot decompress an LZ4 block')
}

/** Length of the longest block into which `length` bytes can be encoded. */
export function lz4BlockBytesMax(length: number): number {
  return length + Math.ceil(length / 255) + 16
}

/** Encodes `source` greedily with a table of hashed positions, as LZ4's fast mode does. */
export function encodeLz4Block(source: Buffer): Buffer {
  const target = Buffer.allocUnsafe(lz4BlockBytesMax(source.length))
  const positions = new Int32Array(1 << hashBits).fill(-1)
  const matchEnd = source.length - literalEndBytes
  let to = 0
  let literalsAt = 0
  for (let at = 0; at < source.length - matchEndBytes; ) {
    const word = source.readInt32LE(at)
    const hash = Math.imul(word, 0x9e3779b1) >>> (32 - hashBits)
    const before = positions[hash] ?? -1
    positions[hash] = at
    if (before < 0 || at - before > distanceMax || source.readInt32LE(before) !== word) {
      // The longer no match is found, the more bytes are skipped, so that incompressible data pass quickly.
      at += 1 + ((at - literalsAt) >> 6)
      continue
    }
    let match = matchMin
    while (at + match < matchEnd && source[at + match] === source[before + match]) match++
    to = writeSequence(target, to, source, literalsAt, at, match)
    target[to++] = (at - before) & 255
    target[to++] = (at - before) >> 8
    if (match - matchMin >= 15) to = writeLength(target, to, match - matchMin - 15)
    at += match
    literalsAt = at
  }
  to = writeSequence(target, to, source, literalsAt, source.length, matchMin)
  assert(to <= target.length, `a block of ${source.length} bytes fits ${target.length}`)
  return target.subarray(0, to)
}

/** Token and literals; the distance and the rest of the match's length follow. */
function writeSequence(target: Buffer, at: number, source: Buffer, from: number, end: number, match: number): number {
  const literals = end - from
  target[at] = (Math.min(literals, 15) << 4) | Math.min(match - matchMin, 15)
  const to = literals >= 15 ? writeLength(target, at + 1, literals - 15) : at + 1
  source.copy(target, to, from, end)
  return to + literals
}

function writeLength(target: Buffer, at: number, length: number): number {
  let to = at
  for (let rest = length; ; rest -= 255) {
    target[to++] = Math.min(rest, 255)
    if (rest < 255) return to
  }
}
