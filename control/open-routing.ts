/** Routes put together: where they are kept, the key of their secrets, and what people do with them. */
import { join } from 'node:path'
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { BuiltInShows, RoutingDocument } from '#schemas/routing/routing.ts'
import { FileRoutingStore } from './routes/file-routing-store.ts'
import type { CheckDocument, RoutingStore } from './routes/routes.ts'
import { RoutingService } from './routes/routing-service.ts'
import { opened } from './routes/sealed-secrets.ts'
import { SqlRoutingStore } from './routes/sql-routing-store.ts'
import { openDatabase } from './store/open-database.ts'
import { secretsKeyOf } from './store/secrets-key.ts'

export interface RoutingOptions {
  readonly dataDir: string
  /** `undefined`: files under `dataDir`, which control and routers of this machine share. */
  readonly postgresUrl: string | undefined
  /** Base64 of 32 bytes; `undefined`: made and kept in the data folder. Machines that share PostgreSQL must share it, too. */
  readonly secretsKey: string | undefined
  readonly logger: Logger
  readonly check?: CheckDocument
  readonly builtInShows?: BuiltInShows | undefined
  readonly clock?: Clock
}

export interface Routing {
  readonly store: RoutingStore
  readonly service: RoutingService
  /** The document in force, its secrets in the clear. @throws ROUTING_SECRETS_UNREADABLE, STORE_UNAVAILABLE */
  inForce(): Promise<{ readonly revision: number; readonly document: RoutingDocument }>
  close(): Promise<void>
}

/** @throws SETTINGS_INVALID, STORE_UNAVAILABLE, STORE_SCHEMA_UNKNOWN */
export async function openRouting(options: RoutingOptions): Promise<Routing> {
  const { dataDir, secretsKey, check, builtInShows, clock = systemClock } = options
  const key = secretsKeyOf(dataDir, secretsKey)
  const store = await openRoutingStore(options)
  return {
    store,
    service: new RoutingService(store, key, { clock, builtInShows, ...(check && { check }) }),
    async inForce() {
      const { revision, document } = await store.read()
      return { revision, document: opened(document, key) }
    },
    close: () => store.close(),
  }
}

/** The document as it is kept, for whoever needs no secret of it. @throws STORE_UNAVAILABLE, STORE_SCHEMA_UNKNOWN */
export async function openRoutingStore({
  dataDir,
  postgresUrl,
  logger,
  clock = systemClock,
}: Pick<RoutingOptions, 'dataDir' | 'postgresUrl' | 'logger' | 'clock'>): Promise<RoutingStore> {
  if (postgresUrl === undefined) return new FileRoutingStore(routingFolder(dataDir), clock)
  return await SqlRoutingStore.open(await openDatabase({ postgresUrl, dataDir: undefined, connectionsMax, logger }))
}

const connectionsMax = 2

export const routingFolder = (dataDir: string): string => join(dataDir, 'routing')
