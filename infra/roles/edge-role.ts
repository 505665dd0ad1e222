import { hostname } from 'node:os'
import { controlSettings } from '#control/control-settings.ts'
import { joinDownlink } from '#control/open-edge-control.ts'
import { type Edge, startEdge } from '#ingest/edge.ts'
import { noisiestCountMax } from '#ingest/http/noisiest-route.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { type AskHistory, keepHistory } from './console-metrics.ts'
import { ControlAddress } from './control-address.ts'
import { StartingDownlink } from './edge-downlink.ts'
import { type EdgeRegistry, openEdgeRegistry } from './edge-registry.ts'
import { openEdgeServers } from './edge-servers.ts'
import { openRoleEvents, type RoleEvents, tellLost } from './events.ts'
import { followDeviceSpread } from './open-device-spread.ts'
import { openRoleLog } from './open-role-log.ts'
import { openRoleUploads } from './open-role-uploads.ts'
import { quotasFrom } from './quotas.ts'
import type { Status } from './role-contract.ts'
import { openRoleExport, type RoleExport } from './role-export.ts'
import { openRoleHubs, type RoleHubs } from './role-hubs.ts'
import {
  askHistory,
  askNoisiest,
  askRefusals,
  askStatus,
  listenAsEdge,
  reportEverySecond,
  stopOnSignal,
  supervised,
  tellSupervisor,
} from './role-process.ts'
import { serviceRequests } from './service-requests.ts'
import { controlAuthorityOf, tlsFilesOf } from './tls-files.ts'

/** What an edge stands on. */
interface EdgeBasis {
  readonly settings: Settings
  readonly edgeId: string
  readonly metrics: Metrics<MetricName>
  readonly exported: RoleExport
  readonly logger: Logger
  readonly tls: TlsFiles | undefined
  /** Of who signed the control role's certificate, PEM. */
  readonly controlAuthority: string | undefined
  readonly log: Log
  readonly spread: DeviceSpread
  readonly hubs: RoleHubs
  /** What control asks of this edge, as soon as there is one. */
  readonly downlink: StartingDownlink
  /** Where identities are required. */
  readonly registry: EdgeRegistry | undefined
  /** Where they are not: ends what the registry would end. */
  readonly leaveDownlink: (() => Promise<void>) | undefined
  /** Where device events are wanted. */
  readonly events: RoleEvents | undefined
}

/** Runs one edge process until it is told to stop. @param index its number among the edges of this machine */
export async function runEdge(settings: Settings, index: number): Promise<void> {
  const basis = await openBasis(settings, index)
  const { metrics, exported, logger, tls, controlAuthority, log, spread, registry, leaveDownlink, events } = basis
  const refused = new RefusalsHere()
  let { httpsPort } = settings
  const control = new ControlAddress({
    url: settings.controlUrl,
    ask: supervised ? () => tellSupervisor('needsControl', undefined) : undefined,
    clock: systemClock,
  })
  const edge = await openEdge(basis, control, refused, () => httpsPort)
  const beats = setInterval(() => void registry?.beat(edge), limits.edgeBeatMs)
  const status = () => statusOf(edge, metrics)
  const policyOf = registry?.policyOf
  const refusals = async () => (supervised ? await askRefusals() : refused.last)
  const servers = await openEdgeServers({
    ...{ settings, edge, control, controlAuthority, tls, policyOf, log, spread, refusals, status, metrics, logger },
    history: historyOf(metrics),
  })
  httpsPort = servers.ports.https ?? httpsPort
  stopOnSignal(async (reason) => {
    logger.info('draining', { reason, connections: edge.connectionCount })
    clearInterval(beats)
    await edge.close()
    await servers.close()
    // Requests that were under way asked it.
    await Promise.all([registry?.close(), leaveDownlink?.(), events?.close()])
    await basis.hubs.close()
    await spread.close()
    await Promise.all([log.close(), exported.close()])
  })
  listenAsEdge({
    takeOver: ({ sessionId, openedAtMs }) => edge.takeOver(sessionId, openedAtMs),
    readerClaimed: (claim) => edge.readerClaimed(claim),
    control: (state) => control.told(state),
  })
  reportEverySecond(() => {
    tellSupervisor('samples', metrics.samples())
    tellNoisiest(edge)
  })
  const mqtts = edge.mqttsPort === undefined ? {} : { mqtts: edge.mqttsPort }
  const amqps = edge.amqpsPort === undefined ? {} : { amqps: edge.amqpsPort }
  const ports = { mqtt: edge.mqttPort, ...mqtts, ...amqps, ...servers.ports }
  tellSupervisor('ready', ports)
  logger.info('listening', { bind: settings.bind, ...ports })
}

async function openBasis(settings: Settings, index: number): Promise<EdgeBasis> {
  const logger = createLogger(`edge-${index}`, settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  const edgeId = `${hostname()}-${index}`
  const tls = tlsFilesOf(settings)
  const controlAuthority = controlAuthorityOf(settings)
  const log = await openRoleLog(settings, logger)
  const name = `edge-${index}`
  const spread = await followDeviceSpread(settings, logger, log, name)
  const hubs = openRoleHubs(settings, log, logger)
  const samples = () => metrics.samples()
  const exported = openRoleExport(settings, { role: 'edge', name, topic: log.topic, samples, metrics, logger })
  const downlink = new StartingDownlink()
  const registry =
    settings.identities === 'required'
      ? await openEdgeRegistry(settings, edgeId, metrics, logger, downlink, index)
      : undefined
  const leaveDownlink = registry ? undefined : joinDownlink(settings.dataDir, { edgeId, edge: downlink })
  const events = await openRoleEvents(settings, edgeId, metrics, logger)
  // Before anyone connects again: rows of one device stay in order.
  if (events && registry) await tellLost(events, registry.lost)
  return {
    ...{ settings, edgeId, metrics, exported, logger, tls, controlAuthority },
    ...{ log, spread, hubs, downlink, registry, leaveDownlink, events },
  }
}

/** @param httpsPort where the edge listens; asked once it does */
async function openEdge(
  basis: EdgeBasis,
  control: ControlAddress,
  refused: RefusalsHere,
  httpsPort: () => number,
): Promise<Edge> {
  const { settings, edgeId, metrics, exported, logger, tls, controlAuthority, log, spread, hubs } = basis
  const { downlink, registry, events } = basis
  const { spans } = exported
  const edge = await startEdge({
    log,
    spread,
    services: {
      hubs: hubs.hubs,
      hostName: controlSettings(settings).hostName,
      requests: serviceRequests(control, controlAuthority),
      tellClaim: (claim) => tellSupervisor('readerClaimed', claim),
    },
    logger,
    metrics,
    edgeId,
    bind: settings.bind,
    mqttPort: settings.mqttPort,
    mqtts: tls && { port: settings.mqttsPort, tls },
    amqps: tls && { port: settings.amqpsPort, tls },
    batchDelayMs: settings.batchDelayMs,
    decodesSparkplug: settings.sparkplug === 'decoded',
    connectionsMax: settings.edgeConnectionsMax,
    onAppended: spans && ((appended) => spans.appended(appended)),
    onRefused: (refusal) => refused.add(refusal),
    announce: (sessionId, openedAtMs) => tellSupervisor('takeOver', { sessionId, openedAtMs }),
    ...registry,
    uploads: registry && (await openRoleUploads(settings, registry.deviceUploads, httpsPort)),
    quotas: quotasFrom(settings),
    noisiestOfAll: supervised
      ? (countMax) => {
          // What the supervisor knows of this process may be a second old.
          tellNoisiest(edge)
          return askNoisiest(countMax)
        }
      : undefined,
    onPresence: (deviceId, moduleId, connected, reason, modelId) => {
      registry?.onPresence(deviceId, moduleId, connected, modelId)
      const event = connected ? 'connected' : 'disconnected'
      events?.tell({ event, deviceId, moduleId, reason: connected ? undefined : reason, modelId })
    },
  })
  downlink.started(edge.downlink)
  registry?.onTakenOver((sessionId) => edge.takeOver(sessionId))
  registry?.onQuotas((quotas) => edge.quotas.override(quotas))
  return edge
}

/** The last refusals, for the console: the supervisor's to keep, or of an edge that is alone. */
class RefusalsHere {
  last: readonly ToldRefusal[] = []

  add(refusal: ToldRefusal): void {
    if (supervised) tellSupervisor('refused', refusal)
    else this.last = [refusal, ...this.last].slice(0, limits.refusalsKeptMax)
  }
}

function tellNoisiest(edge: Edge): void {
  tellSupervisor('noisiest', edge.quotas.noisiest.report(noisiestCountMax))
}

/** Of all processes, as far as somebody supervises them; alone it keeps its own. */
function historyOf(metrics: Metrics<MetricName>): AskHistory {
  if (supervised) return askHistory
  const history = keepHistory(() => new Map([['edge', metrics.samples()]]))
  return async (sinceMs) => JSON.stringify(history.since(sinceMs))
}

/** Of all processes, as far as somebody supervises them. */
async function statusOf(edge: Edge, metrics: Metrics<MetricName>): Promise<Status> {
  const all = supervised ? await askStatus() : { ready: true, metrics: metrics.render([metrics.samples()]) }
  return { ...all, ready: all.ready && edge.isReady }
}
