import { describe, expect, it } from 'vitest'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { engineHost, warehouseUrl } from './open-role-warehouse.ts'

const passwords = { PENSTOCK_CLICKHOUSE_PASSWORD: 'a', PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: 'b' }
const everywhere = { PENSTOCK_BIND: '0.0.0.0' }

describe('the embedded engine', () => {
  it.each([
    ['on loopback without passwords', { PENSTOCK_BIND: '127.0.0.2' }, '127.0.0.2'],
    ['beyond loopback where both users have passwords', { ...everywhere, ...passwords }, '0.0.0.0'],
    ['on loopback where anyone could write', everywhere, '127.0.0.1'],
    ['on loopback where anyone could read', { ...everywhere, PENSTOCK_CLICKHOUSE_PASSWORD: 'a' }, '127.0.0.1'],
  ])('listens %s [G-6]', (_name, environment, host) => {
    const settings = settingsFromEnvironment(environment)
    expect(engineHost(settings)).toBe(host)
    expect(warehouseUrl(settings, 8123)).toBe(`http://${host}:8123`)
  })
})
