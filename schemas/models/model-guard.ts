import { limits } from '#schemas/limits.ts'
import type { ModelGuard } from './model.ts'

/** What each kind of guard is given with. */
export const guardFields: { readonly [Kind in ModelGuard['kind']]: readonly string[] } = {
  announced: ['modelId'],
  devicePrefix: ['prefix'],
  property: ['name', 'value'],
  every: [],
}

/** @returns a text that says what is wrong with it */
export function guardFrom(json: unknown): ModelGuard | string {
  const given: Readonly<Record<string, unknown>> = typeof json === 'object' && json !== null ? { ...json } : {}
  const kinds = Object.keys(guardFields)
  const fields = Object.entries(guardFields).find(([kind]) => kind === given.kind)?.[1]
  if (fields === undefined) return `its kind must be one of ${kinds.join(', ')}`
  for (const field of fields) {
    const text = given[field]
    if (typeof text !== 'string' || (text === '' && field !== 'value'))
      return `${String(given.kind)} needs the text ${field}`
    if (text.length > limits.modelGuardLengthMax || /[\p{Cc}\p{Cs}]/u.test(text))
      return `${field} has at most ${limits.modelGuardLengthMax} characters, and no control characters`
  }
  const unknown = Object.keys(given).filter((name) => name !== 'kind' && !fields.includes(name))
  if (unknown.length > 0) return `${String(given.kind)} has no ${unknown.join(', ')}`
  return given as unknown as ModelGuard
}
