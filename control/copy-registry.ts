/** The registry of an installation as files, whichever store it is in and whether or not a control role runs; and back. */
import { existsSync } from 'node:fs'
import { isListenedOn } from '#runtime/folder-use.ts'
import type { Logger } from '#runtime/logger.ts'
import { askForCopy } from './link/ask-for-copy.ts'
import { controlSocketPath } from './link/directory-contract.ts'
import { openRoutingStore } from './open-routing.ts'
import { copyStore, restoreStore, type StoreCopy } from './store/copy-store.ts'
import { openDatabaseAsIs, storeFolder } from './store/open-database.ts'

export { type StoreCopy, storeCopyCheck } from './store/copy-store.ts'

export interface RegistryPlace {
  readonly dataDir: string
  /** `undefined`: embedded under `dataDir`. */
  readonly postgresUrl: string | undefined
  readonly logger: Logger
}

const connectionsMax = 2

/**
 * The embedded store belongs to one process: if that is a control role, it is asked to copy.
 * @param folder absolute; exists @returns `undefined` where there is no registry yet
 * @throws STORE_UNAVAILABLE, STORE_LOCKED, STORE_SCHEMA_UNKNOWN, LINK_QUESTION_UNKNOWN
 */
export async function copyRegistry(place: RegistryPlace, folder: string): Promise<StoreCopy | undefined> {
  const { dataDir, postgresUrl } = place
  if (postgresUrl === undefined) {
    const socket = controlSocketPath(dataDir)
    if (await isListenedOn(socket)) return await askForCopy(socket, folder)
    if (!existsSync(storeFolder(dataDir))) return undefined
  }
  const database = await openDatabaseAsIs({ ...place, connectionsMax })
  try {
    return await copyStore(database, folder)
  } finally {
    await database.close()
  }
}

/** Takes back what `restoreRegistry` put into a server, which had no tables of Penstock before; the embedded store goes with its folder. */
export async function forgetRegistry(place: RegistryPlace): Promise<void> {
  if (place.postgresUrl === undefined) return
  const database = await openDatabaseAsIs({ ...place, connectionsMax })
  try {
    await database.query('DROP SCHEMA IF EXISTS penstock CASCADE')
  } finally {
    await database.close()
  }
}

/**
 * Gives each endpoint of the document of routes a new generation, and with it groups of its own. What an endpoint has noted of the offsets
 * that its old group had delivered says nothing of those that a restored log gives away again.
 * @returns the new generation by endpoint
 */
export async function renewEndpoints(
  place: RegistryPlace,
  generation: number,
): Promise<readonly { readonly name: string; readonly before: number; readonly after: number }[]> {
  const store = await openRoutingStore(place)
  try {
    const { document, revision } = await store.read()
    if (document.endpoints.length === 0) return []
    const endpoints = document.endpoints.map((endpoint) => ({ ...endpoint, generation }))
    await store.write({ ...document, endpoints }, revision)
    return document.endpoints.map(({ name, generation: before }) => ({ name, before, after: generation }))
  } finally {
    await store.close()
  }
}

/** @throws STORE_UNAVAILABLE, BACKUP_TARGET_USED, BACKUP_VERSION_UNKNOWN, BACKUP_DAMAGED */
export async function restoreRegistry(place: RegistryPlace, copy: StoreCopy, folder: string): Promise<void> {
  const database = await openDatabaseAsIs({ ...place, connectionsMax })
  try {
    await restoreStore(database, copy, folder)
  } finally {
    await database.close()
  }
}
