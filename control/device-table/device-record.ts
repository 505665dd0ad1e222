import { hash } from 'node:crypto'
import type { DeviceRecord } from './device-table.ts'

/** Says whether two records are the same: 64 bits, compared with those of the same identity only. */
export function fingerprintOf(record: DeviceRecord): string {
  return hash('sha256', JSON.stringify(record), 'hex').slice(0, 16)
}

/**
 * Tags as a map of texts: `{"site":{"hall":2}}` is `{"site.hall":"2"}`. Texts are as they are, other values and lists as JSON; what is
 * null is no tag.
 */
export function flatTags(tags: unknown): Readonly<Record<string, string>> {
  const flat: Record<string, string> = {}
  const add = (path: string, value: unknown): void => {
    if (value === null || value === undefined) return
    if (typeof value === 'object' && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) add(path === '' ? key : `${path}.${key}`, inner)
      return
    }
    flat[path] = typeof value === 'string' ? value : JSON.stringify(value)
  }
  add('', tags)
  return flat
}
