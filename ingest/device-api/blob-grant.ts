/**
 * Leave to write one file, and to read it, for a time: the query of its address, in the words of the hub's storage clients. They pass on
 * only those that they know.
 *
 *   sv   version of these words           sp   what may be done: r, w
 *   sr   b: one file                      se   until when
 *   si   id of the upload                 sig  HMAC-SHA256 of all of them and the file's path, base64url
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { assert } from '#runtime/assert.ts'

const version = '2021-04-10'
const fields = ['sv', 'sr', 'sp', 'se', 'si'] as const
const signaturePattern = /^[A-Za-z0-9_-]{43}$/

export type BlobRight = 'r' | 'w'

export interface BlobGrant {
  readonly uploadId: string
  readonly expiresAtMs: number
}

/** @param path of the file: device id and name, which has no line break @returns a query that begins with `?` */
export function signedBlobGrant(key: Buffer, path: string, { uploadId, expiresAtMs }: BlobGrant): string {
  const until = `${new Date(expiresAtMs).toISOString().slice(0, 19)}Z`
  const values = [version, 'b', 'rw', until, uploadId]
  const isLineEach = [...values, path].every((value) => !value.includes('\n'))
  assert(isLineEach, 'what is signed is a line each: leave for one file could be read as that for another [G-6]')
  const pairs = fields.map((field, index) => `${field}=${encodeURIComponent(values[index] ?? '')}`)
  return `?${pairs.join('&')}&sig=${signatureOf(key, path, values).toString('base64url')}`
}

/**
 * @param query a value of the address by its name
 * @returns the grant if it is good for this file, this right and now
 */
export function blobGrantFrom(
  key: Buffer,
  path: string,
  query: (name: string) => string | undefined,
  right: BlobRight,
  nowMs: number,
): BlobGrant | undefined {
  const [sv = '', sr = '', sp = '', se = '', si = ''] = fields.map(query)
  const given = query('sig') ?? ''
  if (!signaturePattern.test(given)) return undefined
  if (!timingSafeEqual(Buffer.from(given, 'base64url'), signatureOf(key, path, [sv, sr, sp, se, si]))) return undefined
  // From here on these are what was signed once.
  const expiresAtMs = Date.parse(se)
  const isGood = sv === version && sr === 'b' && sp.includes(right) && nowMs < expiresAtMs
  return isGood ? { uploadId: si, expiresAtMs } : undefined
}

/** As many lines as values and one: none of what was signed holds a line break, so nothing can move from one to another. */
function signatureOf(key: Buffer, path: string, values: readonly string[]): Buffer {
  return createHmac('sha256', key)
    .update([...values, path].join('\n'))
    .digest()
}
