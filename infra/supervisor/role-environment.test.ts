import { expect, test } from 'vitest'
import { settingsTable } from '#schemas/settings.ts'
import { environmentOf } from './role-environment.ts'

test('the environment of the warehouse holds no secret and no credential; other roles have the whole', () => {
  const given = {
    ...Object.fromEntries(Object.values(settingsTable).map(({ env }) => [env, 'x'])),
    AWS_SECRET_ACCESS_KEY: 'x',
    PGPASSWORD: 'x',
    PATH: '/bin',
    TZ: 'UTC',
    NODE_OPTIONS: '--max-old-space-size=100',
  }
  expect(Object.keys(environmentOf('warehouse', given)).sort()).toEqual([
    'NODE_OPTIONS',
    'PATH',
    'PENSTOCK_BIND',
    'PENSTOCK_CLICKHOUSE_ANALYST_LIMITS',
    'PENSTOCK_CLICKHOUSE_PORT',
    'PENSTOCK_CLICKHOUSE_READONLY_LIMITS',
    'PENSTOCK_DATA_DIR',
    'PENSTOCK_HOSTNAME',
    'PENSTOCK_LOG_LEVEL',
    'PENSTOCK_QUERY_LOG_DAYS',
    'TZ',
    'UV_THREADPOOL_SIZE',
  ])
  expect(environmentOf('worker', given)).toEqual(given)
  expect(environmentOf('edge', given)).toEqual({ ...given, MALLOC_ARENA_MAX: '2' })
})

test('what the user says of the allocator of edges holds', () => {
  expect(environmentOf('edge', { MALLOC_ARENA_MAX: '8' })).toEqual({ MALLOC_ARENA_MAX: '8' })
})
