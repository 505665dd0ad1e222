/** Messages as a hub's storage endpoints write them: the record in Avro, or an object a line in JSON. */
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { storedAs, systemPropertyNames } from '#pipeline/routing/condition/system-properties.ts'
import { base64Json, bodyJson } from '#pipeline/sinks/messages/message-json.ts'
import type { HubRecord } from '#schemas/hub-record.ts'
import { enqueuedTimeText } from '#schemas/time.ts'

export function hubRecordOf(message: SelectedMessage): HubRecord {
  return {
    EnqueuedTimeUtc: enqueuedTimeText(message.enqueuedAtMs),
    Properties: message.properties,
    SystemProperties: hubSystemProperties(message),
    Body: message.body,
  }
}

/** On one line. The body is JSON where it says that it is, and is; else base64 of its bytes. */
export function hubLineOf(message: SelectedMessage): string {
  const head = {
    EnqueuedTimeUtc: enqueuedTimeText(message.enqueuedAtMs),
    Properties: message.properties,
    SystemProperties: hubSystemProperties(message),
  }
  return `${JSON.stringify(head).slice(0, -1)},"Body":${bodyJson(message) ?? base64Json(message.body)}}`
}

/** The names that the hub has for what is stored under others. */
const hubNames: ReadonlyMap<string, string> = new Map(
  systemPropertyNames.flatMap((name) => {
    const stored = storedAs(name)
    return typeof stored === 'object' ? [[stored.systemProperty, name] as const] : []
  }),
)

function hubSystemProperties({ deviceId, enqueuedAtMs, systemProperties }: SelectedMessage): Record<string, string> {
  const properties: Record<string, string> = {
    connectionDeviceId: deviceId,
    enqueuedTime: enqueuedTimeText(enqueuedAtMs),
  }
  for (const [name, value] of Object.entries(systemProperties)) properties[hubNames.get(name) ?? name] = value
  return properties
}
