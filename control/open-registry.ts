import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { Permits } from '#runtime/permits.ts'
import { limits } from '#schemas/limits.ts'
import { usualCommandRules } from './commands/command-rules.ts'
import type { CommandRules, Commands } from './commands/commands.ts'
import { SqlCommands } from './commands/sql-commands.ts'
import type { Configurations, ConfigurationWork } from './configurations/configurations.ts'
import { SqlConfigurations } from './configurations/sql-configurations.ts'
import { type EdgeAddresses, SqlEdgeAddresses } from './downlink/edge-addresses.ts'
import type { Identities } from './identities/identities.ts'
import { SqlIdentities } from './identities/sql-identities.ts'
import type { Jobs, JobWork } from './jobs/jobs.ts'
import { SqlJobs } from './jobs/sql-jobs.ts'
import type { PresenceStore } from './presence/presence.ts'
import { SqlPresence } from './presence/sql-presence.ts'
import { checkCondition, devicesWhere } from './query/devices-where.ts'
import type { TwinQueries } from './query/query.ts'
import { countableQuery, countFound, runQuery } from './query/run-query.ts'
import type { QuotaStore } from './quotas/quotas.ts'
import { SqlQuotas } from './quotas/sql-quotas.ts'
import type { KeptSessions } from './sessions/sessions.ts'
import { SqlSessions } from './sessions/sql-sessions.ts'
import { ChangeFeed } from './store/change-feed.ts'
import type { Changes } from './store/changes.ts'
import type { Database } from './store/database.ts'
import { type DatabaseOptions, openDatabase } from './store/open-database.ts'
import { SqlTrust } from './trust/sql-trust.ts'
import type { TrustStore } from './trust/trust.ts'
import { SqlDeviceTwins } from './twins/sql-device-twins.ts'
import { SqlTwins } from './twins/sql-twins.ts'
import type { DeviceTwins, Twins } from './twins/twins.ts'

/** What the control store keeps, by capability: one database, and one feed of changes. */
export interface Registry {
  readonly identities: Identities
  readonly trust: TrustStore
  readonly quotas: QuotaStore
  readonly presence: PresenceStore
  readonly twins: Twins
  readonly deviceTwins: DeviceTwins
  readonly edgeAddresses: EdgeAddresses
  readonly sessions: KeptSessions
  readonly queries: TwinQueries
  readonly commands: Commands
  readonly jobs: Jobs & JobWork
  readonly configurations: Configurations & ConfigurationWork
  readonly changes: Changes
  close(): Promise<void>
}

export interface RegistryOptions extends DatabaseOptions {
  readonly clock?: Clock
  /** Left out: as the settings have them if nothing is set. */
  readonly commandRules?: CommandRules | undefined
}

/**
 * Opens the registry on a PostgreSQL server or embedded under `dataDir`, with its tables up to date. Reads no identity: a
 * start costs the same with a million devices as with none.
 * @throws PenstockError STORE_UNAVAILABLE, STORE_LOCKED, STORE_SCHEMA_UNKNOWN, DEPENDENCY_MISSING
 */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const database = await openDatabase(options)
  try {
    return await registryOver(database, options.clock ?? systemClock, options.logger, options.commandRules)
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Puts the capabilities together over a database, which belongs to the registry from then on. */
export async function registryOver(
  database: Database,
  clock: Clock,
  logger: Logger,
  rules: CommandRules = usualCommandRules,
): Promise<Registry> {
  const presence = new SqlPresence(database, clock, logger)
  const queryPermits = new Permits(limits.queriesAtOnceMax)
  const deviceTwins = new SqlDeviceTwins(database, clock, logger)
  const edgeAddresses = new SqlEdgeAddresses(database, logger)
  const changes = await ChangeFeed.open(database, logger, [
    presence.channel,
    deviceTwins.channel,
    edgeAddresses.channel,
  ])
  changes.onChange(({ kind }) => {
    if (kind === 'resync') deviceTwins.missed()
  })
  return {
    identities: new SqlIdentities(database, clock),
    trust: new SqlTrust(database, clock),
    quotas: new SqlQuotas(database),
    presence,
    twins: new SqlTwins(database, clock),
    deviceTwins,
    edgeAddresses,
    sessions: new SqlSessions(database),
    queries: {
      query: (text, page) => queryPermits.with(() => runQuery(database, text, page)),
      devicesWhere: (condition, after, countMax) =>
        queryPermits.with(() => devicesWhere(database, condition, after, countMax)),
      checkCondition,
      count: (text) => queryPermits.with(() => countFound(database, text)),
      checkCountable: (text) => void countableQuery(text),
    },
    commands: new SqlCommands(database, clock, rules),
    jobs: new SqlJobs(database),
    configurations: new SqlConfigurations(database),
    changes,
    async close() {
      await changes.close()
      await deviceTwins.close()
      await database.close()
    },
  }
}
