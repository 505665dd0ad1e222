import { controlSettings } from '#control/control-settings.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { programVersion, readBuiltConsole } from '#infra/console/built-console.ts'
import { ConsoleGate, type PolicyOf } from '#infra/console/console-gate.ts'
import { routeConsole } from '#infra/console/console-routes.ts'
import type { Place } from '#infra/console/session-routes.ts'
import type { Edge } from '#ingest/edge.ts'
import { type HttpsServer, openHttpsServer } from '#ingest/listeners/https-server.ts'
import { socketsMax } from '#ingest/listeners/socket-gate.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import { LogTail } from '#pipeline/live/log-tail.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import { systemClock } from '#runtime/clock.ts'
import { BodyRoom } from '#runtime/http/bodies.ts'
import { httpService, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { HttpServing } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import { urlHost } from '#runtime/loopback.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { routeApiDocument } from './api-document.ts'
import { callersOf } from './callers.ts'
import { type AskHistory, routeConsoleMetrics } from './console-metrics.ts'
import type { ControlAddress } from './control-address.ts'
import { routeHealth } from './health.ts'
import { workerGroup } from './open-role-log.ts'
import { passToControl } from './pass-to-control.ts'
import type { Status } from './role-contract.ts'

export interface EdgeServersOptions {
  readonly settings: Settings
  readonly edge: Edge
  /** Has what is not the edge's own. */
  readonly control: ControlAddress
  /** Of who signed the control role's certificate, PEM. */
  readonly controlAuthority: string | undefined
  /** Left out: no HTTPS. */
  readonly tls: TlsFiles | undefined
  /** Whose token a policy's is; left out: identities are not asked for. */
  readonly policyOf: PolicyOf | undefined
  readonly log: Log
  readonly spread: DeviceSpread
  /** Of all edge processes. */
  readonly refusals: () => Promise<readonly ToldRefusal[]>
  readonly status: () => Promise<Status>
  readonly history: AskHistory
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
}

/** What an edge process answers over HTTP, and over HTTPS where it has TLS files. */
export interface EdgeServers {
  readonly ports: { readonly http: number; readonly https?: number }
  close(): Promise<void>
}

/** @throws PORT_UNAVAILABLE, TLS_FILES_INVALID */
export async function openEdgeServers(options: EdgeServersOptions): Promise<EdgeServers> {
  const { settings } = options
  const ports: { http: number; https?: number } = { http: settings.httpPort }
  const { log, spread, logger } = options
  const tail = new LogTail({ log, spread, group: workerGroup(settings), clock: systemClock, logger })
  const serving = servingOf(options, tail, () => ports)
  const http = await openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    sharePort: true,
    ...serving(false),
  })
  ports.http = http.port
  const https = await openHttps(options, () => serving(true))
  if (https !== undefined) ports.https = https.port
  return {
    ports,
    close: async () => {
      tail.close()
      await Promise.all([http.close(), https?.close()])
    },
  }
}

/** What is served, the same over both: bodies of all requests share one room. */
function servingOf(options: EdgeServersOptions, tail: LogTail, ports: () => EdgeServers['ports']) {
  const { settings, edge, control, controlAuthority, status, history, metrics, logger } = options
  const { quotas } = edge
  const { hostName, dataDir } = controlSettings(settings)
  const built = readBuiltConsole()
  const place = (): Place => placeOf(options, hostName, ports())
  const bodies = new BodyRoom(limits.httpBodiesBytesMax)
  const refusedFull = metrics.series('penstock_edge_sockets_refused_total', { reason: 'full' })
  return (isTls: boolean): HttpServing => ({
    callers: callersOf(settings, settings.bind),
    logger,
    bodies,
    connectionsMax: socketsMax(settings.edgeConnectionsMax),
    onConnectionRefused: () => refusedFull.add(1),
    onStep: edge.stayAwake,
    routes: (router) => {
      const gate = new ConsoleGate({
        ...{ hostName, quotas, policyOf: options.policyOf, clock: systemClock, tls: isTls },
        ownerKey: () => settings.ownerKey ?? readOwnerKey(dataDir),
      })
      routeConsoleMetrics(router, history)
      routeApiDocument(router)
      const authorizationOf = (request: HttpRequest) => gate.authorizationOf(request)
      edge.registerRoutes(router, isTls, authorizationOf)
      routeHealth(router, status)
      routeConsole(router, gate, { built, place, tail, refusals: options.refusals, clock: systemClock })
      passToControl(router, control, controlAuthority, quotas, authorizationOf, isTls)
    },
  })
}

function placeOf({ settings, edge }: EdgeServersOptions, hostName: string, ports: EdgeServers['ports']): Place {
  const mqtts = edge.mqttsPort === undefined ? {} : { mqtts: edge.mqttsPort }
  return {
    hostName,
    host: urlHost(settings.bind),
    ports: { mqtt: edge.mqttPort, ...mqtts, ...ports },
    version: programVersion(),
  }
}

async function openHttps(
  { settings, edge, tls, logger }: EdgeServersOptions,
  serving: () => HttpServing,
): Promise<HttpsServer | undefined> {
  if (tls === undefined) return undefined
  const options = {
    host: settings.bind,
    port: settings.httpsPort,
    files: tls,
    // Where every device is believed, nobody looks at a certificate.
    asksForCertificates: settings.identities === 'required' && settings.httpsClientCertificates === 'asked',
    connectionsMax: settings.edgeConnectionsMax,
    logger,
    onStep: edge.stayAwake,
  }
  return openHttpsServer(options, httpService(serving()))
}
