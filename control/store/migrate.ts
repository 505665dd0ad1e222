import { PenstockError } from '#schemas/errors.ts'
import type { Database, Queries } from './database.ts'
import { migrations } from './migrations.ts'

/** Any number, the same in every process: the key of the advisory lock that lets one process migrate at a time. */
const migrationLock = 7_403_117

/** Brings the tables to the version of this code. @throws PenstockError STORE_SCHEMA_UNKNOWN if they are newer */
export async function migrate(database: Database): Promise<void> {
  await database.transaction(async (queries) => {
    await queries.query('SELECT pg_advisory_xact_lock($1)', [migrationLock])
    const version = await currentVersion(queries)
    if (version > migrations.length) {
      throw new PenstockError(
        'STORE_SCHEMA_UNKNOWN',
        `the control store has schema version ${version}, this program knows ${migrations.length}`,
      )
    }
    for (const statements of migrations.slice(version)) for (const sql of statements) await queries.query(sql)
    if (version < migrations.length) await queries.query('UPDATE penstock.schema SET version = $1', [migrations.length])
  })
}

async function currentVersion(queries: Queries): Promise<number> {
  await queries.query('CREATE SCHEMA IF NOT EXISTS penstock')
  await queries.query('CREATE TABLE IF NOT EXISTS penstock.schema (version integer NOT NULL)')
  const [row] = await queries.query<{ version: number }>('SELECT version FROM penstock.schema')
  if (row) return row.version
  await queries.query('INSERT INTO penstock.schema VALUES (0)')
  return 0
}
