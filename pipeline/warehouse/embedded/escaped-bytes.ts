import { isUtf8 } from 'node:buffer'

/**
 * What reaches the engine reaches it as UTF-8: bytes that are not become escapes, which mean the same within quotes and in the value of
 * a parameter. Nowhere else can they stand.
 */
export function textWithEscapes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  return bytes.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
}
