import type { Edge } from '#ingest/edge.ts'
import { type HttpsServer, openHttpsServer } from '#ingest/listeners/https-server.ts'
import { socketsMax } from '#ingest/listeners/socket-gate.ts'
import type { TlsFiles } from '#ingest/listeners/tls-secrets.ts'
import { BodyRoom } from '#runtime/http/bodies.ts'
import { httpService, openHttpServer } from '#runtime/http/http.ts'
import type { HttpServing } from '#runtime/http/serving.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { routeApiDocument } from './api-document.ts'
import { callersOf } from './callers.ts'
import { type AskHistory, routeConsoleMetrics } from './console-metrics.ts'
import type { ControlAddress } from './control-address.ts'
import { routeHealth } from './health.ts'
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
  const serving = servingOf(options)
  const http = await openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    sharePort: true,
    ...serving(false),
  })
  const https = await openHttps(options, () => serving(true))
  return {
    ports: { http: http.port, ...(https === undefined ? {} : { https: https.port }) },
    close: async () => {
      await Promise.all([http.close(), https?.close()])
    },
  }
}

/** What is served, the same over both: bodies of all requests share one room. */
function servingOf(options: EdgeServersOptions) {
  const { settings, edge, control, controlAuthority, status, history, metrics, logger } = options
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
      edge.registerRoutes(router, isTls)
      routeHealth(router, status)
      routeConsoleMetrics(router, history)
      routeApiDocument(router)
      passToControl(router, control, controlAuthority, edge.quotas, isTls)
    },
  })
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
