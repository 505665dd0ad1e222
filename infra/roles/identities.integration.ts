/** What an edge tells the registry of, over the control role's socket. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { controlSettings } from '#control/control-settings.ts'
import { ensureFirstDevice } from '#control/first-device.ts'
import { type Control, openControl } from '#control/open-control.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { openIdentities } from './identities.ts'

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
  const made = await ensureFirstDevice(control.registry, 'by-http')
  if (!made) throw new Error('there were devices already')
  await control.registry.create({ ...made, deviceId: 'by-mqtt' })
  const identities = await openIdentities(settings, 'edge-0', parts.metrics, parts.logger)
  await identities.authorizeRequest('by-http', undefined, made.authentication.primaryKey ?? '', true, [])
  await expect(identities.authorizeRequest('by-mqtt', undefined, 'wrong', true, [])).rejects.toThrow()
  const silent = { forEachHeard() {} }
  await identities.beat(silent)
  const activity = async (deviceId: string) =>
    (await control.registry.get({ deviceId, moduleId: undefined }))?.lastActivityAtMs
  expect(await activity('by-http')).toBeGreaterThan(made.createdAtMs)
  expect(await activity('by-mqtt')).toBe(undefined)
  await identities.beat({ forEachHeard: (_, heard) => heard({ deviceId: 'by-mqtt', moduleId: undefined }, 1_000) })
  expect(await activity('by-mqtt')).toBe(1_000)
  await identities.close()
})
