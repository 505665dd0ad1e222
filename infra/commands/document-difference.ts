import { endpointKinds, isEndpointKind } from '#schemas/endpoint-kinds/endpoint-kinds.ts'
import type { EndpointField } from '#schemas/endpoint-kinds/field.ts'

/**
 * What one document of routes would change of another, a line each. Entries of lists are compared by their names, so that an order that
 * says nothing is no change:
 *
 *   + endpoints.alerts {"kind":"webhook",…}     - routes.old     ~ routes.hot.condition: "a = 'b'" → "true"
 *
 * Both are as REST shows them: whole, with defaults, and secrets that only say that they are set.
 */
export function differences(current: unknown, wanted: unknown): string[] {
  const [before, after] = [objectOf(current), objectOf(wanted)]
  return ['endpoints', 'routes', 'fallbackRoute', 'enrichments'].flatMap((section) =>
    section === 'fallbackRoute'
      ? fallbackDifferences(before[section], after[section])
      : listDifferences(section, before[section], after[section]),
  )
}

type Entry = Readonly<Record<string, unknown>>

function objectOf(value: unknown): Entry {
  return typeof value === 'object' && value !== null ? (value as Entry) : {}
}

function listDifferences(section: string, current: unknown, wanted: unknown): string[] {
  const [before, after] = [named(current), named(wanted)]
  const gone = [...before.keys()].filter((name) => !after.has(name)).map((name) => `- ${section}.${name}`)
  const others = [...after].flatMap(([name, entry]) => {
    const old = before.get(name)
    return old === undefined
      ? [`+ ${section}.${name} ${JSON.stringify(withoutName(entry))}`]
      : fieldDifferences(`${section}.${name}`, old, entry)
  })
  return [...gone, ...others]
}

/** Enrichments have a key in the place of a name, and may have it several times. */
function named(list: unknown): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  for (const value of Array.isArray(list) ? list : []) {
    const entry = objectOf(value)
    const name = String(entry.name ?? entry.key ?? '')
    let unique = name
    for (let count = 2; entries.has(unique); count++) unique = `${name}#${count}`
    entries.set(unique, entry)
  }
  return entries
}

function fallbackDifferences(current: unknown, wanted: unknown): string[] {
  if (wanted === undefined || wanted === null) return current === undefined ? [] : ['- fallbackRoute']
  if (current === undefined) return [`+ fallbackRoute ${JSON.stringify(wanted)}`]
  return fieldDifferences('fallbackRoute', objectOf(current), objectOf(wanted))
}

function fieldDifferences(path: string, before: Entry, after: Entry): string[] {
  const text = (value: unknown): string => (value === undefined ? 'unset' : JSON.stringify(value))
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `~ ${path}.${name}: ${text(before[name])} → ${text(after[name])}`)
}

/** Secrets that a document gives to endpoints which are there already: whether they are others is nobody's to see. */
export function givenSecrets(current: unknown, written: unknown): string[] {
  const there = named(objectOf(current).endpoints)
  return [...named(objectOf(written).endpoints)].flatMap(([name, endpoint]) => {
    const { kind } = endpoint
    if (!there.has(name) || !isEndpointKind(kind)) return []
    return Object.entries<EndpointField>(endpointKinds[kind].fields)
      .filter(([, { secret }]) => secret)
      .flatMap(([field]) => textsIn(field, endpoint[field]).map((place) => `~ endpoints.${name}.${place}: given`))
  })
}

/** Places of the texts of a field: itself, or each entry of an object of them. */
function textsIn(place: string, value: unknown): string[] {
  if (typeof value === 'string') return [place]
  return Object.entries(objectOf(value)).flatMap(([name, entry]) => textsIn(`${place}.${name}`, entry))
}

function withoutName(entry: Entry): Entry {
  return Object.fromEntries(Object.entries(entry).filter(([name]) => name !== 'name' && name !== 'key'))
}
