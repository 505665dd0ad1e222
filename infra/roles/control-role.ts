import { hostname } from 'node:os'
import { controlSettings, hostNamesOf } from '#control/control-settings.ts'
import type { Identities } from '#control/identities/identities.ts'
import type { LoadTests } from '#control/load-tests/load-tests.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { clientAddressOf } from '#control/rest/rest.ts'
import { openHttpsServer } from '#ingest/listeners/https-server.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import { limitFailures } from '#ingest/quotas/limit-failures.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import { systemClock } from '#runtime/clock.ts'
import { httpService, openHttpServer } from '#runtime/http/http.ts'
import type { HttpServing } from '#runtime/http/serving.ts'
import { WebCallers } from '#runtime/http/web-callers.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { isLoopbackBind } from '#runtime/loopback.ts'
import { Metrics } from '#runtime/metrics.ts'
import { shownSettings } from '#runtime/settings.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { ClickhouseSql } from './analyst-sql.ts'
import { callersOf } from './callers.ts'
import { routingCheck } from './check-routing.ts'
import { controlParts } from './control-parts.ts'
import { endFirstWhenMemoryEnds } from './end-first.ts'
import { forwardRoleTwinEvents, openRoleEvents, recordsTold, tellLost } from './events.ts'
import { routeHealth } from './health.ts'
import { InstallationLoadTests } from './installation-load-tests.ts'
import { LoadTestResults, loadTestFolder } from './load-test-results.ts'
import { quotasFrom } from './quotas.ts'
import { openRoleExport } from './role-export.ts'
import {
  askLoadTest,
  askSettings,
  reportSamples,
  startLoadTest,
  stopLoadTest,
  stopOnSignal,
  supervised,
  tellSupervisor,
} from './role-process.ts'
import { keepRoleRollUps } from './role-summaries.ts'
import { tlsFilesOf } from './tls-files.ts'

const firstDeviceId = 'first-device'

/** Runs the control role until it is told to stop: the registry of devices, over REST, and the directory that edges ask. */
export async function runControl(settings: Settings): Promise<void> {
  const logger = createLogger('control', settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  if (supervised && settings.identities !== 'required') endFirstWhenMemoryEnds()
  const options = controlSettings(settings)
  if (tlsOf(settings) === undefined) requireLoopback(settings.bind)
  const pipeline = controlParts(settings, logger)
  const writerId = `${hostname()}-control`
  const events = await openRoleEvents(settings, writerId, metrics, logger)
  const control = await openControl({
    ...options,
    ...pipeline.parts,
    checkRouting: routingCheck(settings),
    sql: new ClickhouseSql(settings, systemClock),
    loadTests: loadTestsOf(options.dataDir),
    shownSettings: async () => (supervised ? await askSettings() : shownSettings(process.env)),
    told: recordsTold(events),
    // Where it runs on demand, it is not ended while jobs go on, or wait for their time.
    onJobsActive: () => tellSupervisor('needsControl', undefined),
    metrics,
    logger,
    audit: createLogger('audit', 'info'),
  })
  control.registry.changes.onChange((change) => {
    if (change.kind !== 'identities') return
    for (const { change: event, deviceId, moduleId } of change.changes)
      events?.tell({ event, deviceId, moduleId, reason: undefined })
  })
  const outbox = control.registry.twinOutbox
  const stopForwarding = await forwardRoleTwinEvents(settings, { outbox, writerId, metrics, logger })
  const stopRollUps = keepRoleRollUps(settings, {
    models: control.registry.models,
    holds: control.registry.keeperOf('roll-ups'),
    onActive: () => tellSupervisor('needsControl', undefined),
    logger,
  })
  const unwatchEdges = control.watchLostEdges(async (lost) => {
    if (events) await tellLost(events, lost)
  })
  const samples = () => metrics.samples()
  const exported = openRoleExport(settings, { role: 'control', name: 'control', samples, metrics, logger })
  const servers = await openControlServers(settings, control, metrics, logger)
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    await servers.close()
    await unwatchEdges()
    await stopForwarding?.()
    await stopRollUps?.()
    // Together: a change of a large table may take minutes, and who waits for it is told that no answer comes.
    await Promise.all([control.close(), pipeline.close()])
    await Promise.all([events?.close(), exported.close()])
  })
  reportSamples(samples)
  await showFirstDevice(control)
  tellSupervisor('ready', { http: servers.http })
  logger.info('serving the registry', { bind: settings.bind, http: servers.http, https: servers.https })
}

function loadTestsOf(dataDir: string): LoadTests {
  const starter = { state: askLoadTest, start: startLoadTest, stop: stopLoadTest }
  return new InstallationLoadTests(new LoadTestResults(loadTestFolder(dataDir)), supervised ? starter : undefined)
}

/** Supervised, it is behind the edges of its own machine. */
function tlsOf(settings: Settings): TlsFiles | undefined {
  return supervised ? undefined : tlsFilesOf(settings)
}

interface ControlServers {
  /** The ports. */
  readonly http: number
  readonly https: number | undefined
  close(): Promise<void>
}

/** The registry over REST; alone also the role's own health. */
async function openControlServers(
  settings: Settings,
  control: Control,
  metrics: Metrics<MetricName>,
  logger: Logger,
): Promise<ControlServers> {
  const quotas = new Quotas(quotasFrom(settings), systemClock, metrics)
  // What edges pass on has the names that they were asked under.
  const callers = supervised ? new WebCallers(hostNamesOf(settings), true) : callersOf(settings, settings.bind)
  const serving = (isTls: boolean): HttpServing => ({
    callers,
    logger,
    requestLinks: true,
    routes: (router) => {
      if (!supervised)
        routeHealth(router, async () => ({
          ready: await answers(control.registry.identities),
          metrics: metrics.render([metrics.samples()]),
        }))
      control.registerRoutes(limitFailures(router, quotas, clientAddressOf), isTls)
    },
  })
  const { bind: host, httpPort, httpsPort, edgeConnectionsMax: connectionsMax } = settings
  const http = await openHttpServer({ host, port: httpPort, ...serving(false) })
  const tls = tlsOf(settings)
  const https =
    tls &&
    (await openHttpsServer(
      { host, port: httpsPort, files: tls, asksForCertificates: false, connectionsMax, logger },
      httpService(serving(true)),
    ))
  return {
    http: http.port,
    https: https?.port,
    close: async () => {
      await Promise.all([http.close(), https?.close()])
    },
  }
}

/** Where there is no device yet, one is made: whoever starts Penstock has something to try. */
async function showFirstDevice(control: Control): Promise<void> {
  const made = await control.ensureFirstDevice(firstDeviceId)
  const device = made ?? (await control.registry.identities.devicesAfter('', 1))[0]
  if (device?.authentication.kind === 'sas' && device.status === 'enabled') {
    const key = made?.authentication.primaryKey
    tellSupervisor('firstDevice', { deviceId: device.deviceId, key })
  }
}

function answers(identities: Identities): Promise<boolean> {
  return identities.devicesAfter('', 1).then(
    () => true,
    () => false,
  )
}

/** @throws BIND_NOT_LOOPBACK */
function requireLoopback(bind: string): void {
  if (isLoopbackBind(bind)) return
  throw new PenstockError(
    'BIND_NOT_LOOPBACK',
    `PENSTOCK_BIND=${bind}: tokens and device keys would cross the network in the clear; set PENSTOCK_TLS_CERT and PENSTOCK_TLS_KEY, or let the control role listen on loopback only`,
  )
}
