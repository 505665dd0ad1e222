/**
 * What must be done in ClickHouse so that it has what models need, and nothing else of Penstock's. Each statement may be done twice, and
 * whoever stops half-way leaves a state from which the rest is found again.
 *
 *   add columns ─▶ drop projections, views that nobody wants ─▶ make views ─▶ add projections ─▶ drop columns that nothing reads any more
 */
import { identifier, quoted } from '#schemas/clickhouse-text.ts'
import type { ModelTable } from '#schemas/models/model.ts'
import {
  chartsProjection,
  type ModelProjection,
  type ModelView,
  modelMark,
  modelViews,
  type PinnedColumn,
  pinnedColumns,
  projectionMark,
} from '#schemas/models/model-sql.ts'
import { onCluster, type TableOptions, warehouseDatabase } from '#schemas/telemetry-table.ts'

/** What ClickHouse has. */
export interface FoundTables {
  /** Of `penstock.telemetry`, with their comments. */
  readonly columns: ReadonlyMap<string, string>
  /** Of the database, with their comments. */
  readonly tables: ReadonlyMap<string, string>
  /** Of `penstock.telemetry`. */
  readonly projections: readonly string[]
}

export interface ModelChanges {
  readonly statements: readonly string[]
  /** Names that are taken by what Penstock did not make for models: what cannot be done. */
  readonly taken: readonly string[]
}

export function changesFor(models: readonly ModelTable[], found: FoundTables, options: TableOptions): ModelChanges {
  const taken: string[] = []
  const isOwn = (comment: string | undefined): boolean => comment?.startsWith(modelMark) ?? false
  const missing = <T extends { readonly comment: string }>(
    wanted: readonly T[],
    there: ReadonlyMap<string, string>,
    nameOf: (each: T) => string,
  ): T[] =>
    wanted.filter((each) => {
      const comment = there.get(nameOf(each))
      if (comment !== undefined && !isOwn(comment)) taken.push(nameOf(each))
      else return comment !== each.comment
      return false
    })
  const unwanted = (there: ReadonlyMap<string, string>, wanted: readonly string[]): string[] =>
    [...there].filter(([name, comment]) => isOwn(comment) && !wanted.includes(name)).map(([name]) => name)

  const columns = models.flatMap(pinnedColumns)
  const views = models.flatMap(modelViews)
  const projections = models.flatMap((model) => chartsProjection(model) ?? [])
  const sql = new ModelStatements(options)
  const changed = missing(columns, found.columns, ({ column }) => column)
  const wantedProjections = projections.map(({ projection }) => projection)
  const statements = [
    ...sql.alter(
      found.projections
        .filter((name) => name.startsWith(projectionMark) && !wantedProjections.includes(name))
        .map(dropProjection),
    ),
    // Of another definition: dropped, so that old rows are computed anew.
    ...sql.alter(changed.filter(({ column }) => found.columns.has(column)).map(({ column }) => dropColumn(column))),
    ...sql.alter(changed.map(addColumn)),
    ...unwanted(
      found.tables,
      views.map(({ view }) => view),
    ).map((name) => sql.dropView(name)),
    ...missing(views, found.tables, ({ view }) => view).map((view) => sql.makeView(view)),
    ...sql.alter(projections.filter(({ projection }) => !found.projections.includes(projection)).map(addProjection)),
    ...sql.alter(
      unwanted(
        found.columns,
        columns.map(({ column }) => column),
      ).map(dropColumn),
    ),
  ]
  return { statements, taken }
}

function addColumn({ column, type, expression, comment }: PinnedColumn): string {
  return `ADD COLUMN IF NOT EXISTS ${identifier(column)} ${type} MATERIALIZED ${expression} COMMENT ${quoted(comment)}`
}

function dropColumn(column: string): string {
  return `DROP COLUMN IF EXISTS ${identifier(column)}`
}

function addProjection({ projection, query }: ModelProjection): string {
  return `ADD PROJECTION IF NOT EXISTS ${identifier(projection)} (${query})`
}

function dropProjection(projection: string): string {
  return `DROP PROJECTION IF EXISTS ${identifier(projection)}`
}

class ModelStatements {
  readonly #onCluster: string

  constructor(options: TableOptions) {
    this.#onCluster = onCluster(options)
  }

  /** One statement, or none: each waits for parts to be rewritten. */
  alter(changes: readonly string[]): string[] {
    if (changes.length === 0) return []
    return [`ALTER TABLE ${warehouseDatabase}.telemetry${this.#onCluster} ${changes.join(', ')}`]
  }

  makeView({ view, query, comment }: ModelView): string {
    const name = `${warehouseDatabase}.${identifier(view)}`
    return `CREATE OR REPLACE VIEW ${name}${this.#onCluster} AS ${query} COMMENT ${quoted(comment)}`
  }

  dropView(view: string): string {
    return `DROP VIEW IF EXISTS ${warehouseDatabase}.${identifier(view)}${this.#onCluster}`
  }
}
