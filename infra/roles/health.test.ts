import { expect, test } from 'vitest'
import type { HttpRouter } from '#runtime/http/serving.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { PenstockError } from '#schemas/errors.ts'
import { routeHealth } from './health.ts'
import type { Status } from './role-contract.ts'
import { standstillText } from './standstill-text.ts'
import { undeliveredText } from './undelivered-text.ts'

/** What `GET path` is answered with in this state. */
async function ask(path: string, status: () => Status): Promise<{ readonly status: number; readonly text: string }> {
  const handlers = new Map<string, () => unknown>()
  const router = {
    route: ({ method, pattern, handle }: { method: string; pattern: string; handle: () => unknown }) =>
      handlers.set(`${method} ${pattern}`, handle),
  } as unknown as HttpRouter
  routeHealth(router, status)
  const answer = (await handlers.get(`GET ${path}`)?.()) as { status: number; body: string | Uint8Array }
  return { status: answer.status, text: Buffer.from(answer.body).toString() }
}

const refused = new PenstockError('WAREHOUSE_UNAVAILABLE', 'code 60: no table; device said "secret"')
const text = standstillText({
  telemetry: [
    { partition: 3, forMs: 130_400, error: refused },
    { partition: 1, forMs: 61_000, error: refused },
  ],
  'device events': [],
})

test('who can take traffic is ready though delivery stands still, and says so in a second line that quotes nothing', async () => {
  const line =
    "delivery stands still: telemetry in 2 partitions for 130 s (WAREHOUSE_UNAVAILABLE); the worker's log says why"
  expect(await ask('/readyz', () => ({ ready: true, standstill: text, metrics: '' }))).toEqual({
    status: 200,
    text: `ready\n${line}\n`,
  })
  expect(await ask('/readyz', () => ({ ready: false, standstill: text, metrics: '' }))).toEqual({
    status: 503,
    text: `not ready\n${line}\n`,
  })
})

test('that what waits is old is said in a line of its own, and is no reason to send devices away', async () => {
  const samples: MetricSample[] = [
    ['penstock_worker_lag_seconds', 'partition="0"', 61.2],
    ['penstock_worker_lag_seconds', 'partition="1"', 312.4],
    ['penstock_events_lag_seconds', 'partition="0"', 59.9],
    ['penstock_worker_lag_records', 'partition="0"', 5_000],
  ]
  const undelivered = undeliveredText(samples)
  expect(undelivered).toBe('the oldest message that is no row yet waits for 312 s')
  expect(await ask('/readyz', () => ({ ready: true, standstill: text, undelivered, metrics: '' }))).toMatchObject({
    status: 200,
    text: expect.stringMatching(/^ready\ndelivery stands still: .*\nthe oldest message .* 312 s\n$/),
  })
  expect(undeliveredText([['penstock_events_lag_seconds', '', 60]])).toContain('the oldest device event')
  expect(undeliveredText(samples.slice(2))).toBeUndefined()
})

test('where all moves nothing is said', async () => {
  expect(standstillText({ telemetry: [], 'device events': [] })).toBeUndefined()
  expect(await ask('/readyz', () => ({ ready: true, metrics: '' }))).toEqual({ status: 200, text: 'ready\n' })
})
