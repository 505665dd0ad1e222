/** A JSON Schema of what bodies hold, from a count of what the newest of them held. */
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { limits } from '#schemas/limits.ts'
import type { ModelGuard, ModelNote } from '#schemas/models/model.ts'
import { guardOf } from '#schemas/models/model-sql.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'

/** How often a name stood in bodies with a value of one kind. */
export interface SeenValues {
  /** One name, or two: of a value within an object. */
  readonly path: readonly string[]
  readonly kind: string
  readonly count: number
}

export interface Suggestion {
  readonly document: Readonly<Record<string, unknown>>
  /** Rows that were looked at. */
  readonly rowCount: number
  /** What cannot be said of them, or is not sure. */
  readonly notes: readonly ModelNote[]
}

/** What a kind of values is in a schema. Text that is a moment, or a day, is a kind of its own. */
const schemas: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  Bool: { type: 'boolean' },
  Int64: { type: 'integer' },
  UInt64: { type: 'integer' },
  Double: { type: 'number' },
  String: { type: 'string' },
  Date: { type: 'string', format: 'date' },
  Moment: { type: 'string', format: 'date-time' },
}

const kindsSeenMax = 4 * limits.modelFieldsMax

/** @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED */
export async function suggestModel(warehouse: Pick<Warehouse, 'query'>, guard: ModelGuard): Promise<Suggestion> {
  const rows = await warehouse.query(statementFor(guard))
  const total = rows.find(({ name }) => name === '')
  const seen = rows.flatMap(({ name, inner, kind, count }) =>
    name === '' ? [] : { path: [name, inner].map(String).filter(Boolean), kind: String(kind), count: Number(count) },
  )
  return suggestionFrom(seen, Number(total?.count ?? 0))
}

/** A row for each name and kind, and one without a name: the bodies. */
function statementFor(guard: ModelGuard): string {
  const newest =
    `SELECT body FROM ${warehouseDatabase}.telemetry WHERE (${guardOf(guard)}) ` +
    `AND enqueued_at >= now() - INTERVAL ${limits.modelSuggestDaysMax} DAY ` +
    `ORDER BY enqueued_at DESC LIMIT ${limits.modelSuggestRowsMax}`
  const members = 'JSONExtractKeysAndValuesRaw'
  const values =
    "arrayConcat([('', '', '')], arrayMap(each -> (each.1, '', each.2), members), " +
    `arrayFlatten(arrayMap(each -> arrayMap(within -> (each.1, within.1, within.2), ${members}(each.2)), members)))`
  const kindOf = (raw: string): string =>
    `multiIf(match(${raw}, '^"\\\\d{4}-\\\\d\\\\d-\\\\d\\\\dT\\\\d\\\\d:\\\\d\\\\d'), 'Moment', ` +
    `match(${raw}, '^"\\\\d{4}-\\\\d\\\\d-\\\\d\\\\d"$'), 'Date', toString(JSONType(${raw})))`
  const listKind = `arrayStringConcat(arraySort(arrayDistinct(arrayMap(each -> ${kindOf('each')}, JSONExtractArrayRaw(value.3)))), ' ')`
  return (
    `SELECT value.1 AS name, value.2 AS inner, if(startsWith(value.3, '['), concat('Array ', ${listKind}), ${kindOf('value.3')}) AS kind, count() AS count ` +
    `FROM (SELECT arrayJoin(${values}) AS value FROM (SELECT ${members}(body) AS members FROM (${newest}))) ` +
    `WHERE length(value.1) <= ${limits.modelFieldNameLengthMax} AND length(value.2) <= ${limits.modelFieldNameLengthMax} ` +
    `GROUP BY ALL ORDER BY name = '' DESC, count DESC LIMIT ${kindsSeenMax} SETTINGS max_execution_time = ${limits.modelSuggestSecondsMax}`
  )
}

/** @param rowCount bodies that were looked at */
export function suggestionFrom(seen: readonly SeenValues[], rowCount: number): Suggestion {
  const notes: ModelNote[] = []
  const properties: Record<string, unknown> = Object.create(null)
  for (const [name, kinds] of kindsByName(seen.filter(({ path }) => path.length === 1))) {
    if (!kinds.has('Object')) {
      const schema = schemaOf(name, kinds, notes)
      if (schema) properties[name] = schema
      continue
    }
    if (kinds.size > 1) {
      notes.push({ path: name, message: `is left out: ${told([...kinds])}` })
      continue
    }
    const inner = kindsByName(
      seen.flatMap(({ path: [outer, within], ...rest }) =>
        outer === name && within !== undefined ? { ...rest, path: [within] } : [],
      ),
    )
    const fields = [...inner].flatMap(([within, each]) => {
      const schema = schemaOf(`${name}.${within}`, each, notes)
      return schema ? [[within, schema] as const] : []
    })
    if (fields.length > 0) properties[name] = { type: 'object', properties: Object.fromEntries(fields) }
  }
  if (rowCount === 0)
    notes.push({ path: '', message: `no row of the last ${limits.modelSuggestDaysMax} days is of it` })
  const document = { $schema: 'https://json-schema.org/draft/2020-12/schema', type: 'object', properties }
  return { document, rowCount, notes }
}

/** Kinds with their counts; null says nothing. Names in the order in which they are seen most. */
function kindsByName(seen: readonly SeenValues[]): Map<string, Map<string, number>> {
  const names = new Map<string, Map<string, number>>()
  for (const { path, kind, count } of seen) {
    const [name = ''] = path
    const kinds = names.get(name) ?? new Map<string, number>()
    names.set(name, kinds)
    if (kind !== 'Null') kinds.set(kind, (kinds.get(kind) ?? 0) + count)
  }
  return names
}

/** `undefined`, and a note: nothing is sure of it. */
function schemaOf(path: string, kinds: ReadonlyMap<string, number>, notes: ModelNote[]): object | undefined {
  const total = [...kinds.values()].reduce((sum, count) => sum + count, 0)
  const usual = [...kinds].filter(([, count]) => count >= total * rareShareMax)
  const schema = schemaOfKinds(usual.map(([kind]) => kind))
  if (schema === undefined)
    notes.push({ path, message: total === 0 ? 'is left out: it was always null' : `is left out: ${told([...kinds])}` })
  else if (usual.length < kinds.size) {
    const rare = [...kinds].filter((each) => !usual.some(([kind]) => kind === each[0]))
    notes.push({ path, message: `was something else now and then, which will be NULL: ${told(rare)}` })
  }
  return schema
}

/** Of the values of a name so few may be of another kind. */
const rareShareMax = 0.02

function schemaOfKinds(kinds: readonly string[]): object | undefined {
  if (!kinds.some((kind) => kind.startsWith('Array'))) return schemas[commonKind(kinds) ?? '']
  if (!kinds.every((kind) => kind.startsWith('Array'))) return undefined
  const items = schemas[commonKind(kinds.flatMap((kind) => kind.split(' ').slice(1))) ?? '']
  return items && { type: 'array', items }
}

/** What all of these are: a whole number is a number too, and a day is a text. */
function commonKind(kinds: readonly string[]): string | undefined {
  const given = new Set(
    kinds.map((kind) => (kind === 'UInt64' ? 'Int64' : kind)).filter((kind) => kind !== 'Null' && kind !== ''),
  )
  const [first] = given
  if (given.size === 1) return first
  const within = (...all: readonly string[]): boolean =>
    given.size > 0 && [...given].every((kind) => all.includes(kind))
  return within('Int64', 'Double') ? 'Double' : within('String', 'Date', 'Moment') ? 'String' : undefined
}

function told(kinds: readonly (readonly [kind: string, count: number])[]): string {
  return kinds.map(([kind, count]) => `${kind} in ${count}`).join(', ')
}
