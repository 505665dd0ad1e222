/** What is known of a message beside its body, as texts with names, for brokers that carry such. */
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { percentEncoded, systemField } from '#schemas/hub-fields.ts'

/** Names that only Penstock and brokers give, so that no device can pass for another one or steer a broker. */
const reserved = /^(?:iothub-|penstock-|nats-|dt-)/i

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

function entriesOf(
  texts: Readonly<Record<string, string>>,
  nameOf: (name: string) => string,
): [name: string, value: string][] {
  return Object.entries(texts).map(([name, value]) => [nameOf(name), value])
}
