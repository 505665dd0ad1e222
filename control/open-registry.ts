import { type Clock, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { Permits } from '#runtime/permits.ts'
import { limits } from '#schemas/limits.ts'
import type { AuditTrail } from './audit/audit.ts'
import { SqlAudit } from './audit/sql-audit.ts'
import { usualCommandRules } from './commands/command-rules.ts'
import type { CommandRules, Commands, OnFeedback } from './commands/commands.ts'
import { SqlCommands } from './commands/sql-commands.ts'
import type { Configurations, ConfigurationWork } from './configurations/configurations.ts'
import { SqlConfigurations } from './configurations/sql-configurations.ts'
import type { DeviceRecords } from './device-table/device-table.ts'
import { SqlDeviceRecords } from './device-table/sql-device-records.ts'
import { type EdgeAddresses, SqlEdgeAddresses } from './downlink/edge-addresses.ts'
import type { Identities } from './identities/identities.ts'
import { SqlIdentities } from './identities/sql-identities.ts'
import type { Jobs, JobWork } from './jobs/jobs.ts'
import { SqlJobs } from './jobs/sql-jobs.ts'
import type { ModelStore } from './models/models.ts'
import { SqlModels } from './models/sql-models.ts'
import type { PresenceStore } from './presence/presence.ts'
import { SqlPresence } from './presence/sql-presence.ts'
import type { DevicesOf } from './provisioning/deprovision.ts'
import type { Enrolments, LinkedHubs, Registrar, Registrations } from './provisioning/provisioning.ts'
import { SqlEnrolments } from './provisioning/sql-enrolments.ts'
import { SqlLinkedHubs } from './provisioning/sql-linked-hubs.ts'
import { type RegistrarRules, SqlRegistrar, usualRegistrarRules } from './provisioning/sql-registrar.ts'
import { SqlRegistrations } from './provisioning/sql-registrations.ts'
import { checkCondition, devicesWhere } from './query/devices-where.ts'
import type { TwinQueries } from './query/query.ts'
import { countableQuery, countFound, runQuery } from './query/run-query.ts'
import type { QuotaStore } from './quotas/quotas.ts'
import { SqlQuotas } from './quotas/sql-quotas.ts'
import type { KeptSessions } from './sessions/sessions.ts'
import { SqlSessions } from './sessions/sql-sessions.ts'
import { ChangeFeed } from './store/change-feed.ts'
import type { Changes } from './store/changes.ts'
import { copyStore, type StoreCopy } from './store/copy-store.ts'
import type { Database } from './store/database.ts'
import { OneHolder } from './store/one-holder.ts'
import { type DatabaseOptions, openDatabase } from './store/open-database.ts'
import type { SecretsKey } from './store/secrets-key.ts'
import { SqlTransfers } from './transfers/sql-transfers.ts'
import type { Transfers, TransferWork } from './transfers/transfers.ts'
import { SqlTrust } from './trust/sql-trust.ts'
import type { TrustStore } from './trust/trust.ts'
import { SqlDeviceTwins } from './twins/sql-device-twins.ts'
import { SqlTwins } from './twins/sql-twins.ts'
import { SqlTwinOutbox } from './twins/twin-outbox-rows.ts'
import type { DeviceTwins, TwinOutbox, Twins, WholeTwins } from './twins/twins.ts'
import { SqlUploads } from './uploads/sql-uploads.ts'
import type { OnFileUploaded, Uploads } from './uploads/uploads.ts'

/** What the control store keeps, by capability: one database, and one feed of changes. */
export interface Registry {
  readonly identities: Identities
  readonly trust: TrustStore
  readonly quotas: QuotaStore
  readonly presence: PresenceStore
  readonly twins: Twins
  readonly deviceTwins: DeviceTwins & WholeTwins
  readonly twinOutbox: TwinOutbox
  readonly edgeAddresses: EdgeAddresses
  readonly sessions: KeptSessions
  readonly queries: TwinQueries
  readonly commands: Commands
  readonly audit: AuditTrail
  readonly uploads: Uploads
  readonly enrolments: Enrolments
  readonly registrations: Registrations
  readonly linkedHubs: LinkedHubs
  readonly registrar: Registrar
  readonly devicesOf: DevicesOf
  /** Takes devices from hubs that interrupted registrations left there: see `SqlRegistrar.settleLeft`. */
  readonly settleLeft: () => Promise<number>
  readonly jobs: Jobs & JobWork
  readonly transfers: Transfers & TransferWork
  readonly configurations: Configurations & ConfigurationWork
  readonly deviceRecords: DeviceRecords
  /** Says whether it is this process that keeps a table of this name, of all that share the store. */
  readonly keeperOf: (table: string) => () => Promise<boolean>
  readonly models: ModelStore
  readonly changes: Changes
  /** All of it as files in `folder`, of one moment. @throws as `copyStore` */
  copyTo(folder: string): Promise<StoreCopy | undefined>
  close(): Promise<void>
}

/** Left out: as the settings have them if nothing is set. */
export interface RegistryRules {
  readonly commandRules?: CommandRules | undefined
  /** Each committed change of a twin is kept in the outbox until it is forwarded. Left out: none is. */
  readonly tellsTwinChanges?: boolean | undefined
  readonly told?: ToldRecords | undefined
  readonly registrarRules?: RegistrarRules | undefined
  /** Seals the signatures of transfers. Left out: none is begun or run here. */
  readonly secrets?: SecretsKey | undefined
}

/** Who in this process makes rows of what services are told; left out: nobody. */
export interface ToldRecords {
  readonly onFeedback: OnFeedback
  readonly onFileUploaded: OnFileUploaded
}

export interface RegistryOptions extends DatabaseOptions, RegistryRules {
  readonly clock?: Clock
}

/**
 * Opens the registry on a PostgreSQL server or embedded under `dataDir`, with its tables up to date. Reads no identity: a
 * start costs the same with a million devices as with none.
 * @throws PenstockError STORE_UNAVAILABLE, STORE_LOCKED, STORE_SCHEMA_UNKNOWN, DEPENDENCY_MISSING
 */
export async function openRegistry(options: RegistryOptions): Promise<Registry> {
  const database = await openDatabase(options)
  try {
    return await registryOver(database, options.clock ?? systemClock, options.logger, options)
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
  options: RegistryRules = {},
): Promise<Registry> {
  const { commandRules = usualCommandRules, registrarRules = usualRegistrarRules } = options
  const { tellsTwinChanges = false, told } = options
  const presence = new SqlPresence(database, clock, logger)
  const deviceTwins = new SqlDeviceTwins(database, clock, logger, tellsTwinChanges)
  const edgeAddresses = new SqlEdgeAddresses(database, logger)
  const changes = await ChangeFeed.open(database, logger, [
    presence.channel,
    deviceTwins.channel,
    edgeAddresses.channel,
  ])
  changes.onChange(({ kind }) => {
    if (kind === 'resync') deviceTwins.missed()
  })
  const trust = new SqlTrust(database, clock)
  const identities = new SqlIdentities(database, clock)
  const twins = new SqlTwins(database, clock, tellsTwinChanges)
  const registrar = new SqlRegistrar({ database, changes, trust, identities, twins, clock, logger }, registrarRules)
  return {
    identities,
    trust,
    quotas: new SqlQuotas(database),
    presence,
    twins,
    deviceTwins,
    twinOutbox: new SqlTwinOutbox(database),
    edgeAddresses,
    sessions: new SqlSessions(database),
    audit: new SqlAudit(database),
    commands: new SqlCommands(database, clock, commandRules, told?.onFeedback),
    uploads: new SqlUploads(database, commandRules.feedbackLifeMs, told?.onFileUploaded),
    enrolments: new SqlEnrolments(database, clock),
    registrations: new SqlRegistrations(database),
    linkedHubs: new SqlLinkedHubs(database),
    registrar,
    devicesOf: (hostName) => registrar.devicesOf(hostName),
    settleLeft: () => registrar.settleLeft(),
    queries: queriesOver(database),
    jobs: new SqlJobs(database),
    transfers: new SqlTransfers(database, options.secrets),
    configurations: new SqlConfigurations(database),
    deviceRecords: new SqlDeviceRecords(database),
    keeperOf: (table) => keeperOver(database, table),
    models: new SqlModels(database),
    changes,
    copyTo: (folder) => copyStore(database, folder),
    async close() {
      await registrar.close()
      await changes.close()
      await deviceTwins.close()
      await database.close()
    },
  }
}

function keeperOver(database: Database, table: string): () => Promise<boolean> {
  const holder = new OneHolder(database, table, limits.tableHeldMs)
  return () => holder.holds()
}

/** So many of them at once: each may read all twins. */
function queriesOver(database: Database): Registry['queries'] {
  const permits = new Permits(limits.queriesAtOnceMax)
  return {
    query: (text, page) => permits.with(() => runQuery(database, text, page)),
    devicesWhere: (condition, after, countMax) =>
      permits.with(() => devicesWhere(database, condition, after, countMax)),
    checkCondition,
    count: (text) => permits.with(() => countFound(database, text)),
    checkCountable: (text) => void countableQuery(text),
  }
}
