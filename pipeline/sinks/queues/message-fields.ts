/** What is known of a message beside its body, as texts with names, for brokers that carry such. */
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'

/** Names that only Penstock and brokers give, so that no device can pass for another one or steer a broker. */
const reserved = /^(?:iothub-|penstock-|nats-|dt-)/i

/** System properties whose names are not just those that they are stored under. */
const systemFields: Readonly<Record<string, string>> = {
  moduleId: 'iothub-connection-module-id',
  creationTime: 'iothub-creation-time-utc',
  interfaceId: 'iothub-interface-id',
  subject: 'dt-subject',
  modelId: 'dt-dataschema',
}

/**
 * System properties as the hub's endpoints name them, or else as `iothub-…`; application properties under their own names, in which `%`,
 * and the first letter of a name that begins as one of those, is written as %XX.
 */
export function messageFields(message: SelectedMessage): [name: string, value: string][] {
  const { id, deviceId, enqueuedAtMs, properties, systemProperties } = message
  return [
    ['penstock-message-id', id],
    ['iothub-connection-device-id', deviceId],
    ['iothub-enqueuedtime', new Date(enqueuedAtMs).toISOString()],
    ...entriesOf(systemProperties, systemField),
    ...entriesOf(properties, (name) => name.replace(reserved.test(name) ? /^.|%/gu : /%/g, percentEncoded)),
  ]
}

/** `contentType` → `iothub-content-type` */
export function systemField(name: string): string {
  return systemFields[name] ?? `iothub-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** Every byte of UTF-8 as %XX; `decodeURIComponent` undoes it. */
export function percentEncoded(text: string): string {
  const digits = Buffer.from(text).toString('hex').toUpperCase()
  return digits.replace(/../g, (byte) => `%${byte}`)
}

function entriesOf(
  texts: Readonly<Record<string, string>>,
  nameOf: (name: string) => string,
): [name: string, value: string][] {
  return Object.entries(texts).map(([name, value]) => [nameOf(name), value])
}
