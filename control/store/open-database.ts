import { join } from 'node:path'
import type { Logger } from '#runtime/logger.ts'
import type { Database } from './database.ts'
import { migrate } from './migrate.ts'
import { openPgliteDatabase } from './pglite-database.ts'

export interface DatabaseOptions {
  /** A PostgreSQL server; `undefined`: embedded under `dataDir`. */
  readonly postgresUrl: string | undefined
  /** `undefined` together with `postgresUrl`: in memory, for tests. */
  readonly dataDir: string | undefined
  readonly connectionsMax: number
  readonly logger: Logger
}

/** Opens the control store and brings its tables up to date. @throws STORE_UNAVAILABLE, STORE_LOCKED, STORE_SCHEMA_UNKNOWN, DEPENDENCY_MISSING */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const database = await openDatabaseAsIs(options)
  try {
    await migrate(database)
  } catch (error) {
    await database.close()
    throw error
  }
  return database
}

/** Opens the control store and changes nothing. @throws STORE_UNAVAILABLE, STORE_LOCKED, DEPENDENCY_MISSING */
export async function openDatabaseAsIs(options: DatabaseOptions): Promise<Database> {
  const { postgresUrl, dataDir, connectionsMax, logger } = options
  return postgresUrl === undefined
    ? await openPgliteDatabase(dataDir === undefined ? undefined : storeFolder(dataDir))
    : // Its client is loaded where there is a server.
      await (await import('./postgres-database.ts')).openPostgresDatabase({ url: postgresUrl, connectionsMax, logger })
}

/** Of the embedded store. */
export function storeFolder(dataDir: string): string {
  return join(dataDir, 'control-store')
}
