import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { openDeviceSpread } from './open-device-spread.ts'
import { openRoleLog } from './open-role-log.ts'

test('partitions that were added by other means are refused, unless the settings say that they are meant', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-'))
  const settings = { ...settingsFromEnvironment({}), dataDir, partitions: 2 }
  const log = await openRoleLog(settings, silentLogger)
  onTestFinished(async () => {
    await log.close()
    rmSync(dataDir, { recursive: true })
  })
  const countOf = async (partitions: number | undefined): Promise<number> => {
    const spread = await openDeviceSpread({ ...settings, partitions }, silentLogger, log, 'edge')
    await spread.close()
    return spread.count
  }
  expect(await countOf(2)).toBe(2)
  await log.grow(4)
  await expect(countOf(2)).rejects.toThrow('set PENSTOCK_PARTITIONS=4')
  expect(await countOf(4)).toBe(4)
  expect(await countOf(undefined)).toBe(4)
})
