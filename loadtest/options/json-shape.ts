/** What JSON from a file or another process is checked with before it is taken for what it should be. */

export type JsonRecord = Readonly<Record<string, unknown>>

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** True of a record whose fields of these names are texts. */
export function hasTexts(value: unknown, ...names: readonly string[]): value is JsonRecord {
  return isRecord(value) && names.every((name) => typeof value[name] === 'string')
}

/** True of a record whose fields of these names are numbers that have a size. */
export function hasNumbers(value: unknown, ...names: readonly string[]): value is JsonRecord {
  return isRecord(value) && names.every((name) => Number.isFinite(value[name]))
}

/** True of a list of texts. */
export function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

/** `undefined` for text that is not JSON. */
export function jsonOrNothing(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
