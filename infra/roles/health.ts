import { type HttpServer, openHttpServer } from '#runtime/http.ts'
import { textAnswer } from '#runtime/http-answer.ts'
import type { Settings } from '#schemas/settings.ts'

export interface HealthSource {
  /** True once the process (and all it supervises) can take traffic. */
  readonly ready: () => boolean
  /** All metrics in the Prometheus text format. */
  readonly render: () => string
}

const prometheus = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }

/** `GET /healthz` (alive), `/readyz` (200 once traffic can be taken, else 503) and `/metrics` on the HTTP port. */
export function serveHealth(settings: Settings, source: HealthSource): Promise<HttpServer> {
  return openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    routes: (router) => {
      router.route({ method: 'GET', pattern: '/healthz', handle: () => textAnswer(200, 'alive\n') })
      router.route({
        method: 'GET',
        pattern: '/readyz',
        handle: () =>
          source.ready() ? textAnswer(200, 'ready\n') : textAnswer(503, 'not ready\n', { 'retry-after': '1' }),
      })
      router.route({ method: 'GET', pattern: '/metrics', handle: () => textAnswer(200, source.render(), prometheus) })
    },
  })
}
