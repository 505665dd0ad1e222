/**
 * The control role put together: registry, policies, the gate for services, and the directory that edges of this machine ask. It is the
 * one process that owns the embedded store, or one of many on PostgreSQL.
 */
import { type Clock, systemClock } from '#runtime/clock.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { Pace } from '#runtime/pace.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { jobSettings } from '#schemas/job-settings.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { BuiltInShows } from '#schemas/routing/routing.ts'
import { settingsTable } from '#schemas/settings.ts'
import { AuditRecorder } from './audit/audit-recorder.ts'
import type { AdmissionRules } from './auth/auth.ts'
import { ServiceGate } from './auth/service-gate.ts'
import type { CommandRules } from './commands/commands.ts'
import { sweepCommands } from './commands/sweep-commands.ts'
import { applyConfigurations } from './configurations/apply-configurations.ts'
import type { DeadLetters } from './dead-letters/dead-letters.ts'
import type { DeliveryState } from './delivery/delivery.ts'
import type { DeviceTable } from './device-table/device-table.ts'
import { keepDeviceTable } from './device-table/keep-device-table.ts'
import type { Downlink } from './downlink/downlink.ts'
import { EdgeDialer } from './downlink/edge-dialer.ts'
import { EdgeFinder } from './downlink/edge-finder.ts'
import { LinkedDownlink } from './downlink/linked-downlink.ts'
import { ensureFirstDevice } from './identities/first-device.ts'
import type { UpdateTwins } from './identities/identities.ts'
import type { Identity } from './identities/identity.ts'
import type { JobTools } from './jobs/job-run.ts'
import { runJobs } from './jobs/run-jobs.ts'
import type { Directory } from './link/directory.ts'
import { controlSocketPath } from './link/directory-contract.ts'
import { assertUnserved, serveDirectory } from './link/directory-server.ts'
import { RegistryDirectory } from './link/registry-directory.ts'
import type { LoadTests } from './load-tests/load-tests.ts'
import { type Methods, methodsOver } from './methods/methods.ts'
import { ModelService } from './models/model-service.ts'
import type { ModelWarehouse } from './models/model-tables.ts'
import { openRegistry, type Registry, type ToldRecords } from './open-registry.ts'
import { openRouting } from './open-routing.ts'
import { watchLostEdges } from './presence/lost-edges.ts'
import type { RegistrarRules } from './provisioning/sql-registrar.ts'
import { sweepPlacements } from './provisioning/sweep-placements.ts'
import type { CheckDocument } from './routes/routes.ts'
import { registerServiceRoutes, type Services } from './service-routes.ts'
import type { ShownSettings } from './settings/settings-operations.ts'
import type { AnalystSql } from './sql/sql.ts'
import { secretsKeyOf } from './store/secrets-key.ts'
import { transferFault } from './transfers/read-transfer.ts'
import { runTransfer } from './transfers/run-transfer.ts'
import { sweepTransfers } from './transfers/sweep-transfers.ts'
import type { TransferContainers } from './transfers/transfers.ts'
import { ensurePolicies, rekeyPolicy } from './trust/policies.ts'
import type { RekeyPolicy } from './trust/policy-operations.ts'
import { updateTwins } from './twins/bulk-updates.ts'
import { sweepUploads } from './uploads/sweep-uploads.ts'

export interface ControlOptions {
  readonly dataDir: string
  /** `undefined`: embedded under `dataDir`. */
  readonly postgresUrl: string | undefined
  readonly postgresConnectionsMax: number
  /** `undefined`: made and kept at the first start. */
  readonly ownerKey: string | undefined
  /** Of secrets of endpoints and of transfers; `undefined`: made and kept in the data folder. */
  readonly secretsKey?: string | undefined
  /** Rows of the audit are kept for so long; left out: as the settings have it if nothing is set. */
  readonly auditDays?: number | undefined
  /** Left out: they cannot be reached from here. */
  readonly deadLetters?: DeadLetters | undefined
  /** Left out: nobody can be asked how delivery is. */
  readonly delivery?: DeliveryState | undefined
  /** Where models are tables; left out: there are no models. */
  readonly modelWarehouse?: ModelWarehouse | undefined
  /** Where all identities may be carried to, and from; left out: nowhere. */
  readonly transferContainers?: TransferContainers | undefined
  /** The table of devices that analysts read; left out: nobody keeps one. */
  readonly deviceTable?: DeviceTable | undefined
  /** Further checks of documents of routes. */
  readonly checkRouting?: CheckDocument | undefined
  /** Left out: all. */
  readonly builtInShows?: BuiltInShows | undefined
  readonly rules: AdmissionRules
  /** What `GET /settings` shows. Left out: nothing. */
  readonly sql?: AnalystSql | undefined
  readonly loadTests?: LoadTests | undefined
  readonly shownSettings?: ShownSettings | undefined
  /** Left out: as the settings have them if nothing is set. */
  readonly commandRules?: CommandRules | undefined
  /** As of `RegistryOptions`. */
  readonly tellsTwinChanges?: boolean | undefined
  /** Who makes rows of feedback and of uploaded files; left out: nobody. */
  readonly told?: ToldRecords | undefined
  /** Under which files are read that devices uploaded; left out: under the hub's name. */
  readonly uploadHost?: string | undefined
  readonly registrarRules?: RegistrarRules | undefined
  /** Devices that jobs update or call a second; left out: as the settings have it if nothing is set. */
  readonly jobDevicesPerSecond?: number
  readonly queriesPerMinute?: number
  /** Called regularly while there are jobs that wait for their time, or run. */
  readonly onJobsActive?: (() => void) | undefined
  /** False: devices that are not registered may be connected. Left out: true. */
  readonly identitiesRequired?: boolean | undefined
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  /** Area `audit`. */
  readonly audit: Logger
  readonly clock?: Clock
}

export interface Control {
  readonly registry: Registry
  /** For an edge in this process. */
  readonly directory: Directory
  readonly downlink: Downlink
  /** The primary key of policy `iothubowner`. */
  readonly ownerKey: string
  /** @param tls true if the server speaks TLS; without it tokens are taken from this machine only */
  registerRoutes(router: HttpRouter, tls: boolean): void
  /** The device that a first start makes; `undefined` if there are devices already. */
  ensureFirstDevice(deviceId: string): Promise<Identity | undefined>
  /** Calls back with devices of edge processes that are gone for good. The result ends it, and resolves when nothing is under way. */
  watchLostEdges(onLost: (ids: readonly IdentityId[]) => Promise<void>): () => Promise<void>
  close(): Promise<void>
}

/** @throws PenstockError as `openRegistry`, SETTINGS_INVALID, PORT_UNAVAILABLE if a control role already serves this data folder */
export async function openControl(options: ControlOptions): Promise<Control> {
  const closing: (() => unknown)[] = []
  const close = async (): Promise<void> => {
    for (let end = closing.pop(); end !== undefined; end = closing.pop()) await end()
  }
  try {
    return { ...(await openedControl(options, closing)), close }
  } catch (error) {
    await close()
    throw error
  }
}

/** @param closing gets how to close each part once it is open */
async function openedControl(options: ControlOptions, closing: (() => unknown)[]): Promise<Omit<Control, 'close'>> {
  const { dataDir, metrics, logger, audit, clock = systemClock } = options
  // Before anything of the store is touched: what has no lock that this version knows still serves here.
  await assertUnserved(controlSocketPath(dataDir))
  const secrets = secretsKeyOf(dataDir, options.secretsKey)
  const registry = await openRegistry({ ...options, connectionsMax: options.postgresConnectionsMax, secrets, clock })
  closing.push(() => registry.close())
  const directory = new RegistryDirectory(registry, logger)
  closing.push(() => directory.close())
  const finder = new EdgeFinder(clock)
  closing.push(() => finder.close())
  closing.push(registry.presence.onAnnounced(({ edge, opened }) => finder.learned(edge, opened)))
  const dialer = await openDialer(options, registry, directory, finder, clock)
  closing.push(() => dialer?.close())
  const check = options.checkRouting && { check: options.checkRouting }
  const routing = await openRouting({ ...options, secretsKey: options.secretsKey, clock, ...check })
  closing.push(() => routing.close())
  const ownerKey = await ensurePolicies(registry.trust, dataDir, options.ownerKey)
  const gate = await ServiceGate.open(registry.trust, registry.changes, options.rules, clock, logger)
  closing.push(() => gate.close())
  const server = await serveDirectory(controlSocketPath(dataDir), directory, finder, logger, clock)
  closing.push(() => server.close())
  const recorder = new AuditRecorder({
    trail: registry.audit,
    days: options.auditDays ?? settingsTable.auditDays.default,
    ...{ metrics, logger, clock },
  })
  closing.push(() => recorder.close())
  closing.push(sweepCommands(registry.commands, metrics, clock, logger))
  closing.push(sweepUploads(registry.uploads, clock, logger))
  closing.push(sweepTransfers(registry.transfers, clock, logger))
  closing.push(sweepPlacements(registry.settleLeft, registry.keeperOf('placement_intents'), clock, logger))
  const rekey: RekeyPolicy = (name, which) => rekeyPolicy(registry.trust, options, name, which)
  const downlink = new LinkedDownlink(finder, clock)
  const methods = methodsOver(downlink, (options.identitiesRequired ?? true) ? registry.identities : undefined)
  closing.push(workOnDevices(options, registry, methods, clock))
  const models = options.modelWarehouse && new ModelService(registry.models, options.modelWarehouse, clock, logger)
  closing.push(() => models?.close())
  const services = servicesOf(options, { registry, routing: routing.service, downlink, methods, models })
  return {
    registry,
    directory,
    downlink,
    ownerKey,
    registerRoutes: (router, tls) =>
      registerServiceRoutes(router, services, rekey, { gate, metrics, audit, recorder, logger, clock, tls }),
    ensureFirstDevice: (deviceId) => ensureFirstDevice(registry.identities, deviceId),
    watchLostEdges: (onLost) => watchLostEdges(registry.presence, () => registry.trust.trust(), clock, logger, onLost),
  }
}

function servicesOf(
  options: ControlOptions,
  own: Pick<Services, 'registry' | 'routing' | 'downlink' | 'methods' | 'models'>,
): Services {
  const hubName = options.rules.hubNames[0] ?? ''
  return {
    ...own,
    delivery: options.delivery,
    deadLetters: options.deadLetters,
    sql: options.sql,
    loadTests: options.loadTests,
    settings: options.shownSettings ?? (async () => []),
    hubName,
    queriesPerMinute: options.queriesPerMinute ?? jobSettings.queriesPerMinute.default,
    uploadHost: options.uploadHost ?? hubName,
    transferContainers: options.transferContainers,
  }
}

/** `undefined`: the embedded store is of one machine, whose edges come by the local socket. */
async function openDialer(
  { postgresUrl, logger }: ControlOptions,
  registry: Registry,
  directory: Directory,
  finder: EdgeFinder,
  clock: Clock,
): Promise<EdgeDialer | undefined> {
  if (postgresUrl === undefined) return undefined
  return EdgeDialer.open(registry.edgeAddresses, directory, finder, clock, logger)
}

/** Runs jobs and applies configurations, at one pace, and keeps the table of devices. @returns ends it, and resolves when nothing is under way */
function workOnDevices(
  {
    metrics,
    logger,
    jobDevicesPerSecond = jobSettings.jobDevicesPerSecond.default,
    onJobsActive,
    deviceTable,
    transferContainers: containers,
  }: ControlOptions,
  { jobs, configurations, twins, queries, ...registry }: Registry,
  methods: Methods,
  clock: Clock,
): () => Promise<void> {
  const { devicesWhere, count } = queries
  const tools = { twins, devicesWhere, pace: new Pace(jobDevicesPerSecond, clock), metrics, clock, logger }
  const transfer = transferOver({ ...registry, twins, queries }, containers)
  const ends = [
    runJobs({ ...tools, work: jobs, methods, transfer }, onJobsActive),
    applyConfigurations({ ...tools, work: configurations, count }),
  ]
  const { deviceRecords: records, changes } = registry
  const holds = registry.keeperOf('devices')
  if (deviceTable) ends.push(keepDeviceTable({ records, table: deviceTable, changes, holds, metrics, clock, logger }))
  return async () => {
    await Promise.all(ends.map((end) => end()))
  }
}

/** @param containers `undefined`: transfers that another process took on fail here, with the reason */
function transferOver(
  { transfers, identities, twins, queries }: Pick<Registry, 'transfers' | 'identities' | 'twins' | 'queries'>,
  containers: TransferContainers | undefined,
): JobTools['transfer'] {
  return async (run) => {
    if (containers === undefined) throw transferFault('no containers can be reached from here')
    const update: UpdateTwins = (given, items) => updateTwins(twins, given, items)
    await runTransfer(run, { work: transfers, identities, updateTwins: update, queries, containers })
  }
}
