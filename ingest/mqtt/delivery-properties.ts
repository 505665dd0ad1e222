/**
 * Properties of a PUBLISH to a client of MQTT 5.0 (section 3.3.2.3):
 *
 *   length 1–4 │ content type: 3, text │ each application property: 38, text, text
 *
 * Commands have them in their topic too, as the hub does: there is one reading for all versions, and here the one of this version.
 */
import type { Delivery } from '#ingest/session/delivery.ts'

const [contentType, userProperty] = [0x03, 0x26]
const none: Uint8Array = Buffer.from([0])

export function deliveryProperties(delivery: Delivery): Uint8Array {
  if (delivery.feed !== 'commands') return none
  const parts: Buffer[] = []
  const type = delivery.systemProperties.get('ct')
  if (type !== undefined) parts.push(Buffer.from([contentType]), textOf(type))
  for (const [name, value] of delivery.applicationProperties)
    parts.push(Buffer.from([userProperty]), textOf(name), textOf(value))
  if (parts.length === 0) return none
  const properties = Buffer.concat(parts)
  return Buffer.concat([lengthOf(properties.length), properties])
}

/** Two bytes of length before UTF-8; properties of commands are far shorter than that allows (`limits.commandPropertyBytesMax`). */
function textOf(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >>> 8, bytes.length & 0xff]), bytes])
}

function lengthOf(length: number): Buffer {
  const bytes: number[] = []
  for (let left = length; ; left >>>= 7) {
    bytes.push(left > 0x7f ? (left & 0x7f) | 0x80 : left)
    if (left <= 0x7f) return Buffer.from(bytes)
  }
}
