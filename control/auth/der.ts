/**
 * DER as far as certificates need it (X.690): tag 1, length 1 (below 128) or 1 + n (most significant first), content. Read in place.
 */
import { PenstockError } from '#schemas/errors.ts'

export interface Element {
  readonly tag: number
  readonly content: Buffer
}

export const tags = { boolean: 0x01, integer: 0x02, octetString: 0x04, sequence: 0x30, set: 0x31 } as const

/** The elements that lie in `bytes` one after the other, to its end. @throws AUTH_CERTIFICATE_REFUSED if they do not fill it */
export function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = []
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at] as number
    const first = bytes[at + 1] ?? 0x80
    const sizeBytes = first < 0x80 ? 0 : first & 0x7f
    const start = at + 2 + sizeBytes
    // Indefinite lengths are no DER, and nothing of a certificate needs four bytes.
    if (first === 0x80 || sizeBytes > 3 || start > bytes.length || (tag & 0x1f) === 0x1f) throw unreadable()
    const length = sizeBytes === 0 ? first : bytes.readUIntBE(at + 2, sizeBytes)
    if (length > bytes.length - start) throw unreadable()
    elements.push({ tag, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return elements
}

/** The one element of `tag` that fills `bytes`. @throws AUTH_CERTIFICATE_REFUSED */
export function onlyElement(bytes: Buffer, tag: number): Buffer {
  const [element, more] = elementsOf(bytes)
  if (element?.tag !== tag || more !== undefined) throw unreadable()
  return element.content
}

/** `2.5.29.19` */
export function oidText(content: Buffer): string {
  const parts: number[] = []
  let value = 0
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f)
    if (byte > 0x7f) continue
    if (parts.length > 0) parts.push(value)
    else {
      // The first two parts share a number; the first is 0, 1 or 2.
      const first = Math.min(2, Math.floor(value / 40))
      parts.push(first, value - 40 * first)
    }
    value = 0
  }
  return parts.join('.')
}

export function unreadable(): PenstockError {
  return new PenstockError('AUTH_CERTIFICATE_REFUSED', 'a certificate that cannot be read')
}
