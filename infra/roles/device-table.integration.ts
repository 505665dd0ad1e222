import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeviceTableKeeper } from '#control/device-table/keep-device-table.ts'
import { openRegistry, type Registry } from '#control/open-registry.ts'
import { deviceContent } from '#control/registry.conformance.ts'
import { ClickhouseDeviceTable } from '#pipeline/sinks/clickhouse/clickhouse-device-table.ts'
import { prepareAnalystTables, prepareTables } from '#pipeline/sinks/clickhouse/clickhouse-tables.ts'
import { embeddedWarehouseForTests, type WarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'

describe('penstock.devices over both embedded stores', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-devices-'))
  let registry: Registry
  let warehouse: WarehouseForTests
  let keeper: DeviceTableKeeper
  let holds: () => Promise<boolean>

  beforeAll(async () => {
    registry = await openRegistry({
      ...{ postgresUrl: undefined, dataDir: undefined, connectionsMax: 1, logger: silentLogger },
    })
    warehouse = await embeddedWarehouseForTests(folder)
    holds = registry.keeperOf('devices')
    keeper = new DeviceTableKeeper({
      records: registry.deviceRecords,
      table: new ClickhouseDeviceTable(warehouse),
      changes: registry.changes,
      holds,
      metrics: new Metrics(metricsTable),
      clock: systemClock,
      logger: silentLogger,
    })
  })

  afterAll(async () => {
    await Promise.all([registry.close(), warehouse.close()])
    rmSync(folder, { recursive: true })
  })

  const pass = () => keeper.pass(new AbortController().signal)
  const devices = (columns: string) =>
    warehouse.query(`SELECT ${columns} FROM penstock.devices ORDER BY device_id, module_id`)

  test('before its table exists a pass is refused, and nothing else happens', async () => {
    await expect(pass()).rejects.toMatchObject({ code: 'WAREHOUSE_REFUSED' })
    await prepareTables(warehouse, { replicated: false, ttlDays: 0 }, silentLogger)
    await prepareAnalystTables(warehouse, { replicated: false, ttlDays: 0 }, silentLogger)
    await pass()
    expect(await devices('*')).toEqual([])
  })

  test('a device with its module, its tags, its connection and what it announced', async () => {
    await registry.identities.create(deviceContent('d1'))
    await registry.identities.create({ ...deviceContent('d1'), moduleId: 'm' })
    const id = { deviceId: 'd1', moduleId: undefined }
    await registry.twins.update(id, { tags: { site: { hall: 2 }, 'naïve "tag"': 'ö\n' } }, undefined)
    const atMs = 1_700_000_000_123
    await registry.presence.recordPresence([{ ...id, connected: true, edgeId: 'e', atMs, modelId: 'dtmi:a:b;1' }])
    expect(await holds()).toBe(true)
    expect(await registry.keeperOf('devices')()).toBe(false)
    await pass()
    expect(
      await devices(
        "device_id, module_id, status, model, connected, toUnixTimestamp64Milli(last_seen) AS seen, tags['site.hall'] AS hall, tags['naïve \"tag\"'] AS odd",
      ),
    ).toEqual([
      {
        ...{ device_id: 'd1', module_id: '', status: 'enabled', model: 'dtmi:a:b;1', connected: true },
        ...{ seen: String(atMs), hall: '2', odd: 'ö\n' },
      },
      {
        ...{ device_id: 'd1', module_id: 'm', status: 'enabled', model: '', connected: false },
        ...{ seen: null, hall: '', odd: '' },
      },
    ])
    // Nothing changed, so no version is added.
    await pass()
    expect(await warehouse.query('SELECT count() AS versions FROM penstock.device_versions')).toEqual([
      { versions: '2' },
    ])
  })

  test('what is told of is compared alone, with its modules; what is deleted is not shown', async () => {
    await registry.identities.create(deviceContent('d2'))
    await registry.identities.delete({ deviceId: 'd1', moduleId: 'm' }, undefined)
    keeper.told(['d1', 'd2'])
    // The pass that is due at the beginning takes what was told along.
    await keeper.work(new AbortController().signal)
    expect(await devices('device_id, module_id')).toEqual([
      { device_id: 'd1', module_id: '' },
      { device_id: 'd2', module_id: '' },
    ])
    await registry.identities.delete({ deviceId: 'd1', moduleId: undefined }, undefined)
    keeper.told(['d1'])
    await keeper.work(new AbortController().signal)
    expect(await devices('device_id')).toEqual([{ device_id: 'd2' }])
  })

  test('a table that was lost is filled again', async () => {
    await warehouse.command('TRUNCATE TABLE penstock.device_versions')
    await pass()
    expect(await devices('device_id')).toEqual([{ device_id: 'd2' }])
  })
})
