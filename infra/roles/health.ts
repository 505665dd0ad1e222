import type { HttpRouter } from '#runtime/http.ts'
import { textAnswer } from '#runtime/http-answer.ts'
import type { Status } from './role-process.ts'

const prometheus = { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }

/** `GET /healthz` (alive), `/readyz` (200 once traffic can be taken, else 503) and `/metrics`. */
export function routeHealth(router: HttpRouter, status: () => Status | Promise<Status>): void {
  for (const method of ['GET', 'HEAD'] as const) {
    router.route({ method, pattern: '/healthz', handle: () => textAnswer(200, 'alive\n') })
    router.route({
      method,
      pattern: '/readyz',
      handle: async () => {
        const { ready, silent = [] } = await unready(status)
        const notes = silent.map((name) => `${name} says nothing\n`).join('')
        return ready
          ? textAnswer(200, `ready\n${notes}`)
          : textAnswer(503, `not ready\n${notes}`, { 'Retry-After': '1' })
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
