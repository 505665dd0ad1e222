/** Messages as JSON, in the shape that endpoints share. */
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { bodyEncoding } from '#pipeline/routing/condition/body-encoding.ts'
import type { Envelope } from '#schemas/batch.ts'

/**
 * `{"id", "deviceId", "enqueuedTime", "properties", "systemProperties", "body"}`. `body` is the JSON that was sent where its content type
 * and encoding say that it is JSON, and it is; else base64 of its bytes, and then `"bodyEncoding": "base64"` stands beside it.
 */
export function messageJson(message: SelectedMessage): string {
  const { id, deviceId, enqueuedAtMs, properties, systemProperties } = message
  const head = { id, deviceId, enqueuedTime: new Date(enqueuedAtMs).toISOString(), properties, systemProperties }
  const body = bodyJson(message)
  const rest = body === undefined ? `"bodyEncoding":"base64","body":${base64Json(message.body)}` : `"body":${body}`
  return `${JSON.stringify(head).slice(0, -1)},${rest}}`
}

/**
 * A body as it stands in a document, on one line and otherwise as it was sent: numbers keep every digit.
 * @returns `undefined` if it does not say that it is JSON in UTF-8, UTF-16 or UTF-32, or is not
 */
export function bodyJson({ body, systemProperties }: Envelope): string | undefined {
  const encoding = bodyEncoding(systemProperties.contentType, systemProperties.contentEncoding)
  if (encoding !== 'utf-8' && encoding !== 'utf-16') return undefined
  try {
    const text = new TextDecoder(encoding === 'utf-8' ? 'utf-8' : 'utf-16le', { fatal: true }).decode(body)
    JSON.parse(text)
    // Line breaks can only stand between the values of a document.
    return text.trim().replace(/[\r\n]+/g, ' ')
  } catch {
    return undefined
  }
}

/** A body's bytes as a value of a JSON document. */
export const base64Json = (bytes: Uint8Array): string =>
  `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')}"`
