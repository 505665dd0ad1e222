/** What an edge tells the registry of, over the control role's socket. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { controlSettings } from '#control/control-settings.ts'
import { ensureFirstDevice } from '#control/identities/first-device.ts'
import { controlSocketPath } from '#control/link/directory-contract.ts'
import { type Control, openControl } from '#control/open-control.ts'
import type { QuotaOverride } from '#control/quotas/quotas.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { openEdgeRegistry } from './edge-registry.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-identities-'))
const settings = settingsFromEnvironment({ PENSTOCK_DATA_DIR: dataDir, PENSTOCK_IDENTITIES: 'required' })
const parts = { metrics: new Metrics(metricsTable), logger: silentLogger }
let control: Control
beforeAll(async () => {
  control = await openControl({ ...controlSettings(settings), ...parts, audit: silentLogger })
}, 60_000)
afterAll(async () => {
  await control.close()
  rmSync(dataDir, { recursive: true, force: true })
})

test('a device that speaks HTTP only, and one that keeps its connection, have a time of their last activity', async () => {
  const made = await ensureFirstDevice(control.registry.identities, 'by-http')
  if (!made) throw new Error('there were devices already')
  await control.registry.identities.create({ ...made, deviceId: 'by-mqtt' })
  const identities = await openEdgeRegistry(settings, 'edge-0', parts.metrics, parts.logger)
  await identities.authorizeRequest('by-http', undefined, made.authentication.primaryKey ?? '', true, [])
  await expect(identities.authorizeRequest('by-mqtt', undefined, 'wrong', true, [])).rejects.toThrow()
  const silent = { forEachHeard() {} }
  await identities.beat(silent)
  const activity = async (deviceId: string) =>
    (await control.registry.identities.get({ deviceId, moduleId: undefined }))?.lastActivityAtMs
  expect(await activity('by-http')).toBeGreaterThan(made.createdAtMs)
  expect(await activity('by-mqtt')).toBe(undefined)
  await identities.beat({ forEachHeard: (_, heard) => heard({ deviceId: 'by-mqtt', moduleId: undefined }, 1_000) })
  expect(await activity('by-mqtt')).toBe(1_000)
  await identities.close()
})

test('a quota set at the registry reaches every edge, and goes with its device', async () => {
  const quota = { deviceId: 'by-mqtt', messagesPerSecond: 5, bytesPerSecond: undefined, connectionsPerMinute: 2 }
  await control.registry.quotas.putQuota(quota)
  const edges = await Promise.all(
    [0, 1].map((index) => openEdgeRegistry(settings, `quota-${index}`, parts.metrics, silentLogger)),
  )
  const known = edges.map((edge) => {
    let now: readonly QuotaOverride[] = []
    edge.onQuotas((quotas) => {
      now = quotas
    })
    return () => now
  })
  expect(known.map((quotas) => quotas())).toEqual([[quota], [quota]])
  const changed = { ...quota, messagesPerSecond: 50 }
  await control.registry.quotas.putQuota(changed)
  for (const quotas of known) await expect.poll(quotas, { timeout: 30_000 }).toEqual([changed])
  await control.registry.identities.delete({ deviceId: 'by-mqtt', moduleId: undefined }, undefined)
  for (const quotas of known) await expect.poll(quotas, { timeout: 30_000 }).toEqual([])
  for (const edge of edges) await edge.close()
})

test('what one edge holds is not lost when another of the same name starts, or ends', async () => {
  const [made] = await control.registry.identities.devicesAfter('', 1)
  if (!made) throw new Error('there is no device')
  const { deviceId } = made
  const isConnected = async () => (await control.registry.identities.get({ deviceId, moduleId: undefined }))?.connected
  const first = await openEdgeRegistry(settings, 'twin-0', parts.metrics, silentLogger)
  first.onPresence(deviceId, undefined, true)
  await expect.poll(isConnected, { timeout: 30_000 }).toBe(true)
  const elsewhere = { ...settings, dataDir: mkdtempSync(join(tmpdir(), 'penstock-twin-')) }
  symlinkSync(controlSocketPath(dataDir), controlSocketPath(elsewhere.dataDir))
  for (const place of [settings, elsewhere]) {
    const twin = await openEdgeRegistry(place, 'twin-0', parts.metrics, silentLogger)
    expect(twin.lost).toEqual([])
    expect(await isConnected()).toBe(true)
    await twin.close()
    expect(await isConnected()).toBe(true)
  }
  rmSync(elsewhere.dataDir, { recursive: true })
  await first.close()
  expect(await isConnected()).toBe(false)
})
