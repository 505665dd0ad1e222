import { PenstockError } from '#schemas/errors.ts'
import type { Database, Queries } from './database.ts'
import { migrations } from './migrations.ts'

/** Any number, the same in every process: the key of the advisory lock that lets one process migrate at a time. */
const migrationLock = 7_403_117

/** Of the tables, as this code has them. */
export const schemaVersion = migrations.length

/** Brings the tables to the version of this code. @throws PenstockError STORE_SCHEMA_UNKNOWN if they are newer */
export async function migrate(database: Database): Promise<void> {
  await database.transaction((queries) => migrateTo(queries, schemaVersion))
}

/** Brings the tables to a version, which may be an earlier one for tables that are only then filled. @throws STORE_SCHEMA_UNKNOWN */
export async function migrateTo(queries: Queries, wanted: number): Promise<void> {
  await queries.query('SELECT pg_advisory_xact_lock($1)', [migrationLock])
  const version = await currentVersion(queries)
  if (version > schemaVersion) throw newerSchema(version)
  if (version >= wanted) return
  for (const statements of migrations.slice(version, wanted)) for (const sql of statements) await queries.query(sql)
  await queries.query('UPDATE penstock.schema SET version = $1', [wanted])
}

/** Of a store that a newer version of Penstock has had. */
export function newerSchema(version: number): PenstockError {
  return new PenstockError(
    'STORE_SCHEMA_UNKNOWN',
    `the control store has schema version ${version}, this program knows ${schemaVersion}: a newer version of Penstock has had it. ` +
      'Run that version or a later one; or restore a backup that was made before the upgrade (docs/BACKUP.md)',
  )
}

async function currentVersion(queries: Queries): Promise<number> {
  await queries.query('CREATE SCHEMA IF NOT EXISTS penstock')
  await queries.query('CREATE TABLE IF NOT EXISTS penstock.schema (version integer NOT NULL)')
  const [row] = await queries.query<{ version: number }>('SELECT version FROM penstock.schema')
  if (row) return row.version
  await queries.query('INSERT INTO penstock.schema VALUES (0)')
  return 0
}
