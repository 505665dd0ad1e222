import { csvOf } from '#console/data/csv.ts'
import type { Message } from '#console/data/tail.ts'

/** What Live shows, for a spreadsheet. */
export function messagesCsv(messages: readonly Message[]): string {
  const head = ['enqueued_at', 'device_id', 'body', 'encoding', 'properties', 'system_properties']
  const rows = messages.map(({ at, device, body, encoding, properties, system }) => [
    new Date(at).toISOString(),
    device,
    body,
    encoding,
    JSON.stringify(properties),
    JSON.stringify(system),
  ])
  return csvOf([head, ...rows])
}
