/** What is known of a message, under the names by which the hub's receivers know it. */

/** System properties whose names are not just those that they are stored under. */
const systemFields: Readonly<Record<string, string>> = {
  moduleId: 'iothub-connection-module-id',
  creationTime: 'iothub-creation-time-utc',
  interfaceId: 'iothub-interface-id',
  subject: 'dt-subject',
  modelId: 'dt-dataschema',
  'iothub-message-source': 'iothub-message-source',
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

/** A text as a symbol of AMQP, which is ASCII (AMQP 1.0 section 1.6.21). */
export const symbolText = (text: string): string => text.replace(/[^ -~]/gu, percentEncoded)
