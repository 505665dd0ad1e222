/** JSON merge patches (RFC 7396) from one object to another. Pure. */
import type { Document } from '#console/data/devices.ts'

/** What makes `from` into `to`: `null` where something goes. */
export function mergePatchOf(from: Document, to: Document): Document {
  const patch: Record<string, unknown> = {}
  for (const name of Object.keys(from)) if (!Object.hasOwn(to, name)) patch[name] = null
  for (const [name, value] of Object.entries(to)) {
    const before = Object.hasOwn(from, name) ? from[name] : undefined
    if (isObject(before) && isObject(value)) {
      const inner = mergePatchOf(before, value)
      if (Object.keys(inner).length > 0) patch[name] = inner
    } else if (JSON.stringify(before) !== JSON.stringify(value)) patch[name] = value
  }
  return patch
}

/** Paths of what is wanted and not reported so. */
export function differences(desired: Document, reported: Document, path = ''): string[] {
  return Object.entries(desired).flatMap(([name, value]) => {
    const here = path === '' ? name : `${path}.${name}`
    const there = Object.hasOwn(reported, name) ? reported[name] : undefined
    if (isObject(value) && isObject(there)) return differences(value, there, here)
    return JSON.stringify(value) === JSON.stringify(there) ? [] : [here]
  })
}

/** What somebody typed, or what is wrong with it. */
export function readObject(text: string): { readonly value?: Document; readonly fault?: string } {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? { value } : { fault: 'It must be a JSON object.' }
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) }
  }
}

function isObject(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
