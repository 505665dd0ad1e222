import { hostname } from 'node:os'
import { joinDownlink } from '#control/open-edge-control.ts'
import { startEdge } from '#ingest/edge.ts'
import { noisiestCountMax } from '#ingest/http/noisiest-route.ts'
import { openHttpsServer } from '#ingest/listeners/https-server.ts'
import { socketsMax } from '#ingest/listeners/socket-gate.ts'
import { systemClock } from '#runtime/clock.ts'
import { BodyRoom } from '#runtime/http/bodies.ts'
import { httpService, openHttpServer } from '#runtime/http/http.ts'
import type { HttpServing } from '#runtime/http/serving.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { callersOf } from './callers.ts'
import { ControlAddress } from './control-address.ts'
import { StartingDownlink } from './edge-downlink.ts'
import { openRoleEvents, tellLost } from './events.ts'
import { routeHealth } from './health.ts'
import { openIdentities } from './identities.ts'
import { openRoleLog } from './open-role-log.ts'
import { passToControl } from './pass-to-control.ts'
import { quotasFrom } from './quotas.ts'
import type { Status } from './role-contract.ts'
import {
  askNoisiest,
  askStatus,
  listenAsEdge,
  reportEverySecond,
  stopOnSignal,
  supervised,
  tellSupervisor,
} from './role-process.ts'
import { controlAuthorityOf, tlsFilesOf } from './tls-files.ts'

/** Runs one edge process until it is told to stop. @param index its number among the edges of this machine */
export async function runEdge(settings: Settings, index: number): Promise<void> {
  const logger = createLogger(`edge-${index}`, settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  const edgeId = `${hostname()}-${index}`
  const tls = tlsFilesOf(settings)
  const controlAuthority = controlAuthorityOf(settings)
  const log = await openRoleLog(settings, logger)
  const downlink = new StartingDownlink()
  const identities =
    settings.identities === 'required'
      ? await openIdentities(settings, edgeId, metrics, logger, downlink, index)
      : undefined
  const leaveDownlink = identities ? undefined : joinDownlink(settings.dataDir, { edgeId, edge: downlink })
  const events = await openRoleEvents(settings, edgeId, metrics, logger)
  // Before anyone connects again: rows of one device stay in order.
  if (events && identities) await tellLost(events, identities.lost)
  const edge = await startEdge({
    log,
    logger,
    metrics,
    edgeId,
    bind: settings.bind,
    mqttPort: settings.mqttPort,
    mqtts: tls && { port: settings.mqttsPort, tls },
    batchDelayMs: settings.batchDelayMs,
    connectionsMax: settings.edgeConnectionsMax,
    announce: (sessionId, openedAtMs) => tellSupervisor('takeOver', { sessionId, openedAtMs }),
    ...identities,
    quotas: quotasFrom(settings),
    ...(supervised
      ? {
          noisiestOfAll: (countMax) => {
            // What the supervisor knows of this process may be a second old.
            tellNoisiest()
            return askNoisiest(countMax)
          },
        }
      : {}),
    onPresence: (deviceId, moduleId, connected, reason) => {
      identities?.onPresence(deviceId, moduleId, connected)
      const event = connected ? 'connected' : 'disconnected'
      events?.tell({ event, deviceId, moduleId, reason: connected ? undefined : reason })
    },
  })
  downlink.started(edge.downlink)
  identities?.onTakenOver((sessionId) => edge.takeOver(sessionId))
  identities?.onQuotas((quotas) => edge.quotas.override(quotas))
  const tellNoisiest = () => tellSupervisor('noisiest', edge.quotas.noisiest.report(noisiestCountMax))
  const beats = setInterval(() => void identities?.beat(edge), limits.edgeBeatMs)
  const status = async (): Promise<Status> => {
    const all = supervised ? await askStatus() : { ready: true, metrics: metrics.render([metrics.samples()]) }
    return { ...all, ready: all.ready && edge.isReady }
  }
  const control = new ControlAddress({
    url: settings.controlUrl,
    ask: supervised ? () => tellSupervisor('needsControl', undefined) : undefined,
    clock: systemClock,
  })
  const bodies = new BodyRoom(limits.httpBodiesBytesMax)
  const refusedFull = metrics.series('penstock_edge_sockets_refused_total', { reason: 'full' })
  const serving = (isTls: boolean): HttpServing => ({
    callers: callersOf(settings, settings.bind),
    logger,
    bodies,
    connectionsMax: socketsMax(settings.edgeConnectionsMax),
    onConnectionRefused: () => refusedFull.add(1),
    onStep: edge.stayAwake,
    routes: (router) => {
      edge.registerRoutes(router, isTls)
      routeHealth(router, status)
      passToControl(router, control, controlAuthority, edge.quotas, isTls)
    },
  })
  const http = await openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    sharePort: true,
    ...serving(false),
  })
  const https =
    tls &&
    (await openHttpsServer(
      {
        host: settings.bind,
        port: settings.httpsPort,
        files: tls,
        // Where every device is believed, nobody looks at a certificate.
        asksForCertificates: settings.identities === 'required' && settings.httpsClientCertificates === 'asked',
        connectionsMax: settings.edgeConnectionsMax,
        logger,
        onStep: edge.stayAwake,
      },
      httpService(serving(true)),
    ))
  stopOnSignal(async (reason) => {
    logger.info('draining', { reason, connections: edge.connectionCount })
    clearInterval(beats)
    await edge.close()
    await Promise.all([http.close(), https?.close(), identities?.close(), leaveDownlink?.(), events?.close()])
    await log.close()
  })
  listenAsEdge({
    takeOver: ({ sessionId, openedAtMs }) => edge.takeOver(sessionId, openedAtMs),
    control: (state) => control.told(state),
  })
  reportEverySecond(() => {
    tellSupervisor('samples', metrics.samples())
    tellNoisiest()
  })
  const ports = {
    mqtt: edge.mqttPort,
    http: http.port,
    ...(edge.mqttsPort === undefined ? {} : { mqtts: edge.mqttsPort }),
    ...(https === undefined ? {} : { https: https.port }),
  }
  tellSupervisor('ready', ports)
  logger.info('listening', { bind: settings.bind, ...ports })
}
