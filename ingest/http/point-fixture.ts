/** For tests of formats that come over HTTP: an edge that serves one, and what became of what was sent. */
import { edgeFixture } from '#ingest/edge-fixture.ts'
import type { QuotaOptions } from '#ingest/quotas/quota-settings.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { AuthorizeRequest } from './device-gate.ts'

type RouteFormat = (
  router: HttpRouter,
  edge: EdgeContext,
  authorize: AuthorizeRequest | undefined,
  tls: boolean,
) => void

/** Where identities are asked for, the secret of each device is this. */
export function secretOf(deviceId: string, moduleId?: string): string {
  return Buffer.from(`key of ${deviceId} ${moduleId ?? ''}`).toString('base64')
}

const authorizeBySecret: AuthorizeRequest = (deviceId, moduleId, authorization) => {
  if (deviceId === 'disabled') throw new PenstockError('AUTH_IDENTITY_DISABLED', 'the device is disabled')
  if (authorization !== secretOf(deviceId, moduleId)) throw new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
}

const servers: HttpServer[] = []

export async function stopPointServers(): Promise<void> {
  for (const server of servers.splice(0)) await server.close(0)
}

export async function servePoints(route: RouteFormat, options: { identities?: boolean; quotas?: QuotaOptions } = {}) {
  const { identities = false, quotas } = options
  const fixture = edgeFixture(quotas ? { quotas } : {})
  const server = await openHttpServer({
    host: '127.0.0.1',
    port: 0,
    routes: (router) => route(router, fixture.edge, identities ? authorizeBySecret : undefined, false),
  })
  servers.push(server)
  const url = `http://127.0.0.1:${server.port}`
  const post = async (path: string, body: string | Uint8Array, headers: Record<string, string> = {}) => {
    const response = await fetch(url + path, { method: 'POST', body, headers })
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) }
  }
  /** Of each row its device, what its body says, and its properties. */
  const rows = () =>
    fixture.log
      .envelopes()
      .map(({ deviceId, body, properties }) => [deviceId, JSON.parse(String(body)), properties] as const)
  const points = (outcome: 'stored' | 'refused') =>
    fixture.metrics
      .samples()
      .filter(([name, labels]) => name === 'penstock_edge_points_total' && labels.includes(`outcome="${outcome}"`))
      .reduce((sum, [, , value]) => sum + value, 0)
  return { ...fixture, url, port: server.port, post, rows, points }
}
