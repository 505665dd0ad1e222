/**
 * Models as ClickHouse has them.
 *
 *   view            penstock.v_<model>            a column for each field, computed when it is read
 *   pinned column   <model>_<field>               of penstock.telemetry, MATERIALIZED: in the row's own part, so it is there exactly when
 *                                                 the row is
 *   projection      charts_<model>_<definition>   of penstock.telemetry: pinned numbers by device and minute
 *
 * An expression that throws would make every insert fail. So all of them are made here, of functions that give NULL where a body has not
 * what the model says; names that a document brings stand in them as texts only.
 */
import { createHash } from 'node:crypto'
import { identifier, quoted } from '#schemas/clickhouse-text.ts'
import { telemetryColumns, warehouseDatabase } from '#schemas/telemetry-table.ts'
import { type FieldType, isNumeric, type ModelField, type ModelGuard, type ModelTable } from './model.ts'

/** A field over rows of `penstock.telemetry`. */
export interface ModelColumn {
  readonly model: string
  readonly field: string
  /** In the model's view. */
  readonly column: string
  /** Of ClickHouse. */
  readonly type: string
  readonly isNumeric: boolean
  /** Gives the value, or NULL (of a list, an empty one); never throws. The name of the pinned column where there is one. */
  readonly expression: string
  /** True of the model's rows. */
  readonly guard: string
}

const telemetry = `${warehouseDatabase}.telemetry`

const columnTypes: Readonly<Record<FieldType, string>> = {
  boolean: 'Nullable(Bool)',
  integer: 'Nullable(Int32)',
  long: 'Nullable(Int64)',
  float: 'Nullable(Float32)',
  double: 'Nullable(Float64)',
  string: 'Nullable(String)',
  date: 'Nullable(Date32)',
  dateTime: "Nullable(DateTime64(3, 'UTC'))",
  enum: 'LowCardinality(Nullable(String))',
  point: 'Tuple(Nullable(Float64), Nullable(Float64))',
}

export function viewName(model: string): string {
  return `v_${model}`
}

/** Of the pinned column. */
export function pinnedName(model: string, field: string): string {
  return `${model}_${field}`
}

/** All fields of a model. */
export function modelColumns(model: ModelTable): ModelColumn[] {
  const guard = guardOf(model.guard)
  return model.fields.map((field) => ({
    model: model.name,
    field: field.name,
    column: viewColumn(field),
    type: columnType(field),
    isNumeric: isNumeric(field),
    expression: model.pins.includes(field.name)
      ? `telemetry.${identifier(pinnedName(model.name, field.name))}`
      : valueIn(field, 'body'),
    guard,
  }))
}

/** Columns of rows, which the view has too: a field of such a name is called otherwise there. */
export const rowColumns: readonly string[] = Object.keys(telemetryColumns)

export function viewColumn({ name }: ModelField): string {
  return rowColumns.includes(name) ? `value_${name}` : name
}

function columnType(field: ModelField): string {
  return field.isList ? `Array(${columnTypes[field.type]})` : columnTypes[field.type]
}

export function guardOf(guard: ModelGuard): string {
  switch (guard.kind) {
    case 'announced':
      return `system_properties['modelId'] = ${quoted(guard.modelId)}`
    case 'devicePrefix':
      return `startsWith(device_id, ${quoted(guard.prefix)})`
    case 'property':
      return `properties[${quoted(guard.name)}] = ${quoted(guard.value)}`
    case 'every':
      return '1'
  }
}

/** What a body has of a field. @param body an expression that gives it */
function valueIn({ path, type, isList }: ModelField, body: string): string {
  const extracted = (as: string, ...within: readonly (string | number)[]): string =>
    `JSONExtract(${[body, ...path.map(quoted), ...within, quoted(as)].join(', ')})`
  switch (type) {
    case 'date':
    case 'dateTime':
      return isList
        ? `arrayMap(each -> ${parsed(type, 'each')}, ${extracted('Array(Nullable(String))')})`
        : parsed(type, extracted('Nullable(String)'))
    case 'point':
      return `tuple(${[1, 2].map((at) => extracted('Nullable(Float64)', "'coordinates'", at)).join(', ')})`
    default:
      return extracted(isList ? `Array(${columnTypes[type]})` : columnTypes[type])
  }
}

function parsed(type: FieldType, text: string): string {
  return type === 'date'
    ? `accurateCastOrNull(${text}, 'Date32')`
    : `parseDateTime64BestEffortOrNull(${text}, 3, 'UTC')`
}

/** What ClickHouse must have for models, named by what it is made of: where that changes, the name of its definition does. */
export interface PinnedColumn {
  readonly column: string
  readonly type: string
  readonly expression: string
  /** Of the column in ClickHouse: by it Penstock knows its own. */
  readonly comment: string
}

export interface ModelView {
  readonly view: string
  readonly query: string
  readonly comment: string
}

export interface ModelProjection {
  readonly projection: string
  readonly query: string
}

/** With what comments begin on everything that Penstock made for models. */
export const modelMark = 'penstock model '

export function pinnedColumns(model: ModelTable): PinnedColumn[] {
  // What other rows have is not parsed: ClickHouse computes both sides of a condition around JSONExtract.
  const body = model.guard.kind === 'every' ? 'body' : `if(${guardOf(model.guard)}, body, '')`
  return model.fields
    .filter(({ name }) => model.pins.includes(name))
    .map((field) => {
      const type = columnType(field)
      const expression = valueIn(field, body)
      const comment = `${modelMark}${model.name} ${definitionOf(type, expression)}`
      return { column: pinnedName(model.name, field.name), type, expression, comment }
    })
}

export function modelViews(model: ModelTable): ModelView[] {
  return [fieldsView(model), ...(chartedColumns(model).length === 0 ? [] : [chartsView(model)])]
}

function fieldsView(model: ModelTable): ModelView {
  const fields = modelColumns(model).map(({ expression, column }) => `${expression} AS ${identifier(column)}`)
  const columns = ['device_id', 'enqueued_at', ...fields, ...rowColumns.filter((name) => !viewFirst.includes(name))]
  const query = `SELECT ${columns.join(', ')} FROM ${telemetry} WHERE ${guardOf(model.guard)}`
  return viewOf(viewName(model.name), model, query)
}

/** They stand at the beginning of views. The body stands at the end of none: who wants it has the table. */
const viewFirst = ['device_id', 'enqueued_at', 'body']

/** Its definition is that of the columns that it names, too: a view keeps the types that they had when it was made. */
function viewOf(view: string, model: ModelTable, query: string): ModelView {
  const definition = definitionOf(query, ...pinnedColumns(model).map(({ comment }) => comment))
  return { view, query, comment: `${modelMark}${model.name} ${definition}` }
}

/** Names of pinned columns with numbers, where the model's charts are on. */
function chartedColumns(model: ModelTable): readonly string[] {
  if (!model.hasCharts) return []
  return model.fields
    .filter((field) => isNumeric(field) && model.pins.includes(field.name))
    .map(({ name }) => pinnedName(model.name, name))
}

/**
 * `undefined`: there is nothing to sum up. Its name says of which definitions its columns are, too: ClickHouse drops no column that a
 * projection reads.
 */
export function chartsProjection(model: ModelTable): ModelProjection | undefined {
  const columns = chartedColumns(model)
  if (columns.length === 0) return undefined
  const definitions = pinnedColumns(model).filter(({ column }) => columns.includes(column))
  const all = columns.flatMap((column) => sums(column)).join(', ')
  const query = `SELECT device_id, toStartOfMinute(enqueued_at), ${all} GROUP BY device_id, toStartOfMinute(enqueued_at)`
  const definition = definitionOf(query, ...definitions.map(({ comment }) => comment))
  return { projection: `${projectionMark}${model.name}_${definition}`, query }
}

/** With what names of projections for charts begin. */
export const projectionMark = 'charts_'

/** ClickHouse answers it from the projection, where a part of the table has it. */
function chartsView(model: ModelTable): ModelView {
  const columns = chartedColumns(model).flatMap((column) => {
    // Said with its table: a name in this list may be that of another column.
    const [count, min, max, average] = sums(column, 'telemetry.')
    const named = (what: string): string => identifier(`${column.slice(model.name.length + 1)}_${what}`)
    return [
      `${count} AS ${named('count')}`,
      `${min} AS ${named('min')}`,
      `${max} AS ${named('max')}`,
      `${average} AS ${named('avg')}`,
    ]
  })
  const query = `SELECT device_id, toStartOfMinute(enqueued_at) AS minute, ${columns.join(', ')} FROM ${telemetry} GROUP BY device_id, minute`
  return viewOf(`${projectionMark}${model.name}`, model, query)
}

function sums(column: string, before = ''): readonly string[] {
  const name = `${before}${identifier(column)}`
  return [`count(${name})`, `min(${name})`, `max(${name})`, `avg(${name})`]
}

function definitionOf(...texts: readonly string[]): string {
  return createHash('sha256').update(texts.join('\n')).digest('hex').slice(0, 12)
}
