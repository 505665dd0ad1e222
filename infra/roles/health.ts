import { type RouteTold, text } from '#runtime/api/told.ts'
import { textAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Status } from './role-contract.ts'

const aliveTold: RouteTold = {
  summary: 'The process is alive',
  answered: { 200: { description: 'it is', body: text() } },
}
const readyTold: RouteTold = {
  summary: 'Traffic can be taken; further lines say what stands still or is late',
  answered: { 200: { description: 'it can', body: text() }, 503: { description: 'not now', body: text() } },
}
const metricsTold: RouteTold = {
  summary: 'All metrics, as Prometheus reads them',
  answered: { 200: { description: 'in its text format', body: text() } },
}

const prometheus = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }

/**
 * `GET /healthz` (alive), `/readyz` (200 once traffic can be taken, else 503) and `/metrics`. Further lines of `/readyz` say so
 * if delivery stands still or is late, which alone is no reason to send devices away: the log takes what they send.
 */
export function routeHealth(router: HttpRouter, status: () => Status | Promise<Status>): void {
  for (const method of ['GET', 'HEAD'] as const) {
    router.route({ method, pattern: '/healthz', told: aliveTold, handle: () => textAnswer(200, 'alive\n') })
    router.route({
      method,
      pattern: '/readyz',
      told: readyTold,
      handle: async () => {
        const { ready, standstill, undelivered, silent = [] } = await unready(status)
        const notes = [
          ...[standstill, undelivered].filter((note) => note !== undefined),
          ...silent.map((name) => `${name} says nothing`),
        ]
        const lines = [ready ? 'ready' : 'not ready', ...notes, ''].join('\n')
        return ready ? textAnswer(200, lines) : textAnswer(503, lines, { 'Retry-After': '1' })
      },
    })
  }
  router.route({
    method: 'GET',
    pattern: '/metrics',
    told: metricsTold,
    handle: async () => textAnswer(200, (await unready(status)).metrics, prometheus),
  })
}

async function unready(status: () => Status | Promise<Status>): Promise<Status> {
  try {
    return await status()
  } catch {
    return { ready: false, metrics: '' }
  }
}
