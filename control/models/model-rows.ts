/** Models as rows of the control store. One that was removed stays until ClickHouse has nothing of it. */
import { newEtag } from '#control/identities/identity.ts'
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { ModelGuard, ReadModel } from '#schemas/models/model.ts'
import type { Model, ModelContent } from './models.ts'

interface ModelRow extends SqlRow {
  readonly name: string
  readonly document: string
  readonly content: string
  readonly pins: string
  readonly has_charts: boolean
  readonly etag: string
  readonly created_at: Date
  readonly updated_at: Date
}

/** What was read of the document. */
type Content = ReadModel & { readonly guard: ModelGuard }

export async function modelRows(queries: Queries): Promise<Model[]> {
  const rows = await queries.query<ModelRow>('SELECT * FROM penstock.models WHERE NOT is_removed ORDER BY name')
  return rows.map(modelFrom)
}

export async function modelRowsAfter(queries: Queries, after: string, countMax: number): Promise<Model[]> {
  const rows = await queries.query<ModelRow>(
    'SELECT * FROM penstock.models WHERE NOT is_removed AND name > $1 ORDER BY name LIMIT $2',
    [after, countMax],
  )
  return rows.map(modelFrom)
}

/** @throws MODEL_UNKNOWN */
export async function modelRow(queries: Queries, name: string): Promise<Model> {
  const [row] = await queries.query<ModelRow>('SELECT * FROM penstock.models WHERE name = $1 AND NOT is_removed', [
    name,
  ])
  if (row === undefined) throw new PenstockError('MODEL_UNKNOWN', `there is no model ${name}`)
  return modelFrom(row)
}

export async function putModelRow(queries: Queries, content: ModelContent): Promise<void> {
  const { name, document, kind, modelId, fields, leftAside, guard } = content
  const read: Content = { kind, modelId, fields, leftAside, guard }
  await queries.query(
    `INSERT INTO penstock.models AS m (name, document, content, etag, created_at, updated_at)
     VALUES ($1, $2, $3, $4, now(), now())
     ON CONFLICT (name) DO UPDATE SET document = excluded.document, content = excluded.content, etag = excluded.etag,
       created_at = CASE WHEN m.is_removed THEN now() ELSE m.created_at END, updated_at = now(), is_removed = false`,
    [name, document, JSON.stringify(read), newEtag()],
  )
}

export async function setModelRow(
  queries: Queries,
  name: string,
  { pins, hasCharts }: Pick<Model, 'pins' | 'hasCharts'>,
): Promise<Model> {
  await queries.query(
    'UPDATE penstock.models SET pins = $2, has_charts = $3, etag = $4, updated_at = now() WHERE name = $1 AND NOT is_removed',
    [name, JSON.stringify(pins), hasCharts, newEtag()],
  )
  return modelRow(queries, name)
}

export async function removeModelRow(queries: Queries, name: string): Promise<void> {
  const removed = await queries.query(
    `UPDATE penstock.models SET is_removed = true, pins = '[]', has_charts = false, updated_at = now()
     WHERE name = $1 AND NOT is_removed RETURNING 1 AS one`,
    [name],
  )
  if (removed.length === 0) throw new PenstockError('MODEL_UNKNOWN', `there is no model ${name}`)
}

function modelFrom(row: ModelRow): Model {
  const content = JSON.parse(row.content) as Content
  return {
    ...content,
    modelId: content.modelId,
    name: row.name,
    document: row.document,
    pins: JSON.parse(row.pins) as readonly string[],
    hasCharts: row.has_charts,
    etag: row.etag,
    createdAtMs: row.created_at.getTime(),
    updatedAtMs: row.updated_at.getTime(),
  }
}
