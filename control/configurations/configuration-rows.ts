/** Configurations as rows of the control store. Those that were deleted stay until no device has what they set. */
import type { IfMatch } from '#control/identities/identities.ts'
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Configuration, ConfigurationContent, ConfigurationResults } from './configurations.ts'

interface ConfigurationRow extends SqlRow {
  readonly id: string
  readonly document: string
  readonly condition: string
  readonly priority: number
  readonly etag: string
  readonly created_at: Date
  readonly updated_at: Date
  readonly results: string
}

/** What is not asked for in statements. */
type Document = Pick<ConfigurationContent, 'schemaVersion' | 'labels' | 'deviceContent' | 'metrics'>

export async function insertConfiguration(
  queries: Queries,
  content: ConfigurationContent,
  etag: string,
): Promise<void> {
  await queries.query(
    `INSERT INTO penstock.configurations (id, document, desired, metrics, condition, priority, etag, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, now(), now())`,
    [
      content.id,
      documentText(content),
      JSON.stringify(content.desired),
      JSON.stringify(content.metrics),
      content.condition,
      content.priority,
      etag,
    ],
  )
}

export async function updateConfiguration(
  queries: Queries,
  content: ConfigurationContent,
  etag: string,
): Promise<void> {
  await queries.query(
    `UPDATE penstock.configurations SET document = $2, metrics = $3, condition = $4, priority = $5, etag = $6, updated_at = now()
     WHERE id = $1 AND NOT is_deleted`,
    [content.id, documentText(content), JSON.stringify(content.metrics), content.condition, content.priority, etag],
  )
}

export async function deleteConfigurationRow(queries: Queries, id: string): Promise<void> {
  await queries.query('UPDATE penstock.configurations SET is_deleted = true WHERE id = $1 AND NOT is_deleted', [id])
}

/** @throws CONFIGURATION_UNKNOWN, REGISTRY_ETAG_STALE */
export async function configurationRow(queries: Queries, id: string, ifMatch?: IfMatch): Promise<Configuration> {
  const [row] = await queries.query<ConfigurationRow>(
    'SELECT * FROM penstock.configurations WHERE id = $1 AND NOT is_deleted',
    [id],
  )
  if (row === undefined) throw new PenstockError('CONFIGURATION_UNKNOWN', `there is no configuration ${id}`)
  if (ifMatch !== undefined && ifMatch !== row.etag)
    throw new PenstockError('REGISTRY_ETAG_STALE', 'the configuration was changed since it was read: read it again')
  return configurationFromRow(row)
}

export async function configurationRows(queries: Queries, countMax: number): Promise<Configuration[]> {
  const rows = await queries.query<ConfigurationRow>(
    'SELECT * FROM penstock.configurations WHERE NOT is_deleted ORDER BY id LIMIT $1',
    [countMax],
  )
  return rows.map(configurationFromRow)
}

function documentText({ schemaVersion, labels, deviceContent, metrics }: ConfigurationContent): string {
  const document: Document = { schemaVersion, labels, deviceContent, metrics }
  return JSON.stringify(document)
}

function configurationFromRow(row: ConfigurationRow): Configuration {
  return {
    ...(JSON.parse(row.document) as Document),
    id: row.id,
    desired: JSON.parse(String(row.desired)) as ConfigurationContent['desired'],
    condition: row.condition,
    priority: row.priority,
    etag: row.etag,
    createdAtMs: row.created_at.getTime(),
    updatedAtMs: row.updated_at.getTime(),
    results: JSON.parse(row.results) as ConfigurationResults,
  }
}
