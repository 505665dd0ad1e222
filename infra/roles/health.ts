import { textAnswer } from '#runtime/http/answer.ts'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { Status } from './role-contract.ts'

const prometheus = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }

/**
 * `GET /healthz` (alive), `/readyz` (200 once traffic can be taken, else 503) and `/metrics`. Further lines of `/readyz` say so
 * if delivery stands still or is late, which alone is no reason to send devices away: the log takes what they send.
 */
export function routeHealth(router: HttpRouter, status: () => Status | Promise<Status>): void {
  for (const method of ['GET', 'HEAD'] as const) {
    router.route({ method, pattern: '/healthz', handle: () => textAnswer(200, 'alive\n') })
    router.route({
      method,
      pattern: '/readyz',
      handle: async () => {
        const { ready, standstill, undelivered, silent = [] } = await unready(status)
        const notes = [
          ...[standstill, undelivered].filter((note) => note !== undefined),
          ...silent.map((name) => `${name} says nothing`),
        ]
        const text = [ready ? 'ready' : 'not ready', ...notes, ''].join('\n')
        return ready ? textAnswer(200, text) : textAnswer(503, text, { 'Retry-After': '1' })
      },
    })
  }
  router.route({
    method: 'GET',
    pattern: '/metrics',
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
