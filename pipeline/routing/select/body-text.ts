import type { BodyEncoding } from '#pipeline/routing/condition/body-encoding.ts'

const utf16 = new TextDecoder('utf-16le', { fatal: true })
const bytesPerCharacter = 4

/** A body of another encoding in UTF-8; undefined if its bytes are not characters of it. */
export function bodyInUtf8(body: Buffer, encoding: Exclude<BodyEncoding, 'utf-8'>): Buffer | undefined {
  try {
    return Buffer.from(encoding === 'utf-16' ? utf16.decode(body) : textOfUtf32(body))
  } catch {
    return undefined
  }
}

/** @throws RangeError on what is no character */
function textOfUtf32(body: Buffer): string {
  if (body.length % bytesPerCharacter !== 0) throw new RangeError('a character that is cut short')
  let text = ''
  for (let at = 0; at < body.length; at += bytesPerCharacter) {
    const character = body.readUInt32LE(at)
    if (character >= 0xd800 && character <= 0xdfff) throw new RangeError('half of a surrogate pair')
    // The mark of the byte order, which the decoder of UTF-16 leaves out.
    if (at > 0 || character !== 0xfeff) text += String.fromCodePoint(character)
  }
  return text
}
