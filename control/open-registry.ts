import { type Clock, systemClock } from '#runtime/clock.ts'
import { SqlRegistry } from './identities/sql-identities.ts'
import type { Registry } from './registry.ts'
import { type DatabaseOptions, openDatabase } from './store/open-database.ts'

/**
 * Opens the registry on a PostgreSQL server or embedded under `dataDir`, with its tables up to date. Reads no identity: a
 * start costs the same with a million devices as with none.
 * @throws PenstockError STORE_UNAVAILABLE, STORE_LOCKED, STORE_SCHEMA_UNKNOWN, DEPENDENCY_MISSING
 */
export async function openRegistry(options: DatabaseOptions & { readonly clock?: Clock }): Promise<Registry> {
  const database = await openDatabase(options)
  try {
    return await SqlRegistry.open(database, options.clock ?? systemClock, options.logger)
  } catch (error) {
    await database.close()
    throw error
  }
}
