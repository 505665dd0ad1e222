import { describe, expect, test, vi } from 'vitest'
import { freePorts } from '#runtime/free-ports.ts'
import { textAnswer } from '#runtime/http/answer.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { runHealth } from './health.ts'

async function healthOf(bind: string, port: number, args: readonly string[] = []) {
  const settings = settingsFromEnvironment({ PENSTOCK_BIND: bind, PENSTOCK_HTTP_PORT: String(port) })
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  try {
    return { code: await runHealth(settings, args), said: written.mock.calls.join('') }
  } finally {
    written.mockRestore()
  }
}

describe('penstock health', () => {
  test('says what a role says of itself: ready or not, alive or not', async () => {
    let status = 200
    const { port, close } = await openHttpServer({
      host: '127.0.0.1',
      port: 0,
      routes: (router) => {
        const route = (pattern: string, handle: () => ReturnType<typeof textAnswer>) =>
          router.route({ method: 'GET', pattern, told: { summary: 'here', answered: {} }, handle })
        route('/healthz', () => textAnswer(200, 'alive\n'))
        route('/readyz', () => textAnswer(status, status === 200 ? 'ready\n' : 'not ready\n'))
      },
    })
    try {
      for (const bind of ['127.0.0.1', 'localhost', '0.0.0.0'])
        expect(await healthOf(bind, port), bind).toEqual({ code: 0, said: 'ready\n' })
      status = 503
      expect(await healthOf('127.0.0.1', port)).toEqual({ code: 1, said: 'not ready\n' })
      expect(await healthOf('127.0.0.1', port, ['--alive'])).toEqual({ code: 0, said: 'alive\n' })
    } finally {
      await close()
    }
  })

  test('a port where nobody listens is told by its address', async () => {
    const [port = 0] = await freePorts(1)
    const { code, said } = await healthOf('127.0.0.1', port)
    expect(code).toBe(1)
    expect(said).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/readyz does not answer: .*ECONNREFUSED/)
  })

  test('what it does not know is refused with what is allowed', async () => {
    await expect(healthOf('127.0.0.1', 1, ['now'])).rejects.toThrow(/not understood[\s\S]*--alive/)
    await expect(healthOf('127.0.0.1', 1, ['--ready'])).rejects.toThrow(/--alive/)
  })
})
