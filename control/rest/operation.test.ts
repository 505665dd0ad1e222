import { expect, test } from 'vitest'
import { jsonAnswer } from '#runtime/http/answer.ts'
import type { HttpRequest } from '#runtime/http/request.ts'
import type { AnyRoute } from '#runtime/http/serving.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { type Operation, registerOperation } from './operation.ts'

/** Calls an operation as the policy that the request names. */
function caller(operation: Pick<Operation, 'callsPerMinute'>) {
  const routes: AnyRoute[] = []
  const clock = virtualClock()
  registerOperation(
    { route: (route) => routes.push(route), upgrade: () => {} },
    {
      gate: { admit: (name) => ({ policy: { name } }), publicReason: () => '' },
      metrics: new Metrics(metricsTable),
      audit: silentLogger,
      recorder: { add: () => {} },
      logger: silentLogger,
      clock,
      tls: true,
    },
    {
      ...operation,
      method: 'POST',
      pattern: '/asked',
      told: { summary: 'asked', answered: {} },
      right: 'RegistryRead',
      run: async () => jsonAnswer(200, {}),
    },
  )
  const [route] = routes
  if (route === undefined || !('admit' in route) || !('handle' in route)) throw new Error('no route')
  return async (policy: string) => {
    const request = {
      header: () => policy,
      path: '/asked',
      method: 'POST',
      remoteAddress: '::1',
    } as unknown as HttpRequest
    await route.admit?.(request)
    return route.handle(request, Buffer.alloc(0))
  }
}

test('what a policy asks too often is answered 429, with when to come back', async () => {
  const call = caller({ callsPerMinute: 20 })
  for (let calls = 0; calls < 20; calls++) expect(await call('service')).toMatchObject({ status: 200 })
  const answer = await call('service')
  expect(answer).toMatchObject({
    status: 429,
    headers: { 'iothub-errorcode': 'ThrottlingException', 'Retry-After': '3' },
  })
  expect(String((answer as { body: unknown }).body)).toContain('may ask POST /asked 20 times a minute')
  expect(await call('iothubowner')).toMatchObject({ status: 200 })
})

test('without a rate nobody is held back', async () => {
  const call = caller({ callsPerMinute: 0 })
  for (let calls = 0; calls < 100; calls++) expect(await call('service')).toMatchObject({ status: 200 })
})
