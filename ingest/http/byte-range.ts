/** The part of a file that a request asks for (RFC 9110, section 14). */
import type { BlobPart } from '#pipeline/blobs/blob-store.ts'

export interface AskedRange {
  /** Undefined: the last `last` bytes. */
  readonly first: number | undefined
  /** Undefined: to the end. */
  readonly last: number | undefined
}

/** Up to 2^53 and not beyond. */
const rangePattern = /^bytes=(\d{0,15})-(\d{0,15})$/i

/** @returns `undefined` of several ranges, other units and what is malformed: the whole is answered then, as the norm allows */
export function rangeFrom(text: string): AskedRange | undefined {
  const [, from = '', to = ''] = rangePattern.exec(text.trim()) ?? []
  if (from === '' && to === '') return undefined
  const first = from === '' ? undefined : Number(from)
  const last = to === '' ? undefined : Number(to)
  return first !== undefined && last !== undefined && last < first ? undefined : { first, last }
}

/** @param bytes of the whole @returns `undefined`: nothing of it is in the range */
export function partOf({ first, last: asked }: AskedRange, bytes: number): BlobPart | undefined {
  const last = asked ?? bytes - 1
  const part =
    first === undefined
      ? { first: Math.max(0, bytes - last), last: bytes - 1 }
      : { first, last: Math.min(last, bytes - 1) }
  return part.first <= part.last ? part : undefined
}
