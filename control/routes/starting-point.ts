import type { DocumentReader } from '#runtime/document-reader.ts'
import type { StartingPoint } from '#schemas/routing/routing.ts'

/** `now`, `oldest`, or a time in the form of ISO 8601 that there is. */
export function startingPointOf(reader: DocumentReader, path: string, value: unknown, fallback: string): StartingPoint {
  const text = reader.text(path, value, fallback)
  if (text === 'now' || text === 'oldest') return text
  if (/^\d{4}-\d{2}-\d{2}T/.test(text) && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  reader.fault(path, 'allowed is now, oldest or a time such as 2026-01-31T00:00:00Z')
  return 'now'
}

export function startMsOf(from: StartingPoint, nowMs: number): number {
  return from === 'now' ? nowMs : from === 'oldest' ? 0 : Date.parse(from)
}
