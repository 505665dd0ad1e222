import { isUtf8 } from 'node:buffer'

/**
 * The engine gets its text as UTF-8. Bytes that are not UTF-8 become escapes, which mean the same inside quotes and in the value of a
 * parameter. Such bytes can stand nowhere else.
 */
export function textWithEscapes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  return bytes.toString('latin1').replace(/[\x80-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
}
