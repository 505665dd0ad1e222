/**
 * Checks of JSON that a file or another process gave. A check takes what was parsed and returns it as the type that it is, or throws a
 * TypeError that says where it is not. What a check does not name is left out, so that a newer writer may add to what it writes.
 */
import { isCount } from './count.ts'

export type JsonCheck<T> = (value: unknown) => T

export const aText: JsonCheck<string> = (value) => {
  if (typeof value !== 'string') throw new TypeError('is no text')
  return value
}

export const aNumber: JsonCheck<number> = (value) => {
  if (typeof value !== 'number') throw new TypeError('is no number')
  return value
}

/** A whole number from 0. */
export const aCount: JsonCheck<number> = (value) => {
  if (!isCount(value)) throw new TypeError('is no count')
  return value
}

export const aBoolean: JsonCheck<boolean> = (value) => {
  if (typeof value !== 'boolean') throw new TypeError('is neither true nor false')
  return value
}

/** Of a question that asks for nothing in particular, or an answer that only says that something is done. */
export const nothing: JsonCheck<void> = () => undefined

/** JSON has no `undefined`: it leaves it out of objects, and has null for it elsewhere. */
export function optional<T>(check: JsonCheck<T>): JsonCheck<T | undefined> {
  return (value) => (value === undefined || value === null ? undefined : check(value))
}

export function oneOf<T extends string>(...texts: readonly T[]): JsonCheck<T> {
  return (value) => {
    const text = texts.find((candidate) => candidate === value)
    if (text === undefined) throw new TypeError(`is none of ${texts.join(', ')}`)
    return text
  }
}

export function listOf<T>(check: JsonCheck<T>): JsonCheck<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new TypeError('is no list')
    return value.map((item: unknown, index) => within(`[${index}]`, check, item))
  }
}

/** Any names; also `__proto__`, which is a name like another. */
export function mapOf<T>(check: JsonCheck<T>): JsonCheck<Readonly<Record<string, T>>> {
  return (value) => {
    const result: Record<string, T> = Object.create(null)
    for (const [name, item] of Object.entries(objectFrom(value))) result[name] = within(`.${name}`, check, item)
    return result
  }
}

export function recordOf<T extends object>(
  checks: { readonly [Field in keyof T]-?: JsonCheck<T[Field]> },
): JsonCheck<T> {
  const fields = Object.entries(checks) as [string, JsonCheck<unknown>][]
  return (value) => {
    const given = objectFrom(value)
    const result: Record<string, unknown> = {}
    for (const [field, check] of fields) result[field] = within(`.${field}`, check, given[field])
    return result as T
  }
}

/** Looks at what `essentials` name, and gives the value whole: for what is passed on, or written back, as it came. */
export function wholeAs<T extends object>(essentials: JsonCheck<object>): JsonCheck<T> {
  return (value) => {
    essentials(value)
    return value as T
  }
}

/** A union that its field `field` tells apart. */
export function variantsOf<Field extends string, T extends { readonly [F in Field]: string }>(
  field: Field,
  checks: { readonly [Kind in T[Field]]: JsonCheck<Extract<T, { readonly [F in Field]: Kind }>> },
): JsonCheck<T> {
  return (value) => {
    const kind = objectFrom(value)[field]
    if (typeof kind !== 'string' || !Object.hasOwn(checks, kind)) throw new TypeError(`.${field} is of no known kind`)
    return checks[kind as T[Field]](value) as unknown as T
  }
}

function objectFrom(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TypeError('is no object')
  return value as Readonly<Record<string, unknown>>
}

function within<T>(where: string, check: JsonCheck<T>, value: unknown): T {
  try {
    return check(value)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new TypeError(`${where}${/^[.[]/.test(reason) ? '' : ' '}${reason}`)
  }
}
