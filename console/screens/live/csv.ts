import type { Message } from '#console/data/tail.ts'

/** Rows for a spreadsheet (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe. */
export function csvOf(messages: readonly Message[]): string {
  const head = ['enqueued_at', 'device_id', 'body', 'encoding', 'properties', 'system_properties']
  const rows = messages.map(({ at, device, body, encoding, properties, system }) => [
    new Date(at).toISOString(),
    device,
    body,
    encoding,
    JSON.stringify(properties),
    JSON.stringify(system),
  ])
  return `${[head, ...rows].map((cells) => cells.map(cellOf).join(',')).join('\r\n')}\r\n`
}

function cellOf(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
