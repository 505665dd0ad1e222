/** Events from the embedded log to the embedded engine. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepareTables } from '#pipeline/sinks/clickhouse/clickhouse-tables.ts'
import { embeddedWarehouseForTests } from '#pipeline/warehouse/embedded-fixture.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { silentLogger } from '#runtime/logger.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { batchFromMessages, envelopeBytes } from '#schemas/batch.ts'
import { twinEventEnvelope } from '#schemas/twin-event.ts'
import { deliverEvents } from './deliver-events.ts'
import { openRoleLog } from './open-role-log.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-deliver-events-'))
const settings = settingsFromEnvironment({
  PENSTOCK_DATA_DIR: dataDir,
  PENSTOCK_EVENTS: 'always',
  PENSTOCK_TWIN_EVENTS: 'always',
  PENSTOCK_INSERT_DELAY_MS: '1',
})
const noEndpoints = { expiringPrefixes: ['endpoint.'], heldBy: async () => [] }
const noLetters = { put: async () => {}, lettered: async () => new Map() }
let warehouse: Warehouse

beforeAll(async () => {
  warehouse = await embeddedWarehouseForTests(dataDir)
  await prepareTables(warehouse, { replicated: false, ttlDays: 0 }, silentLogger)
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

test('device events that cannot become rows are counted as dead letters of their own', async () => {
  const log = await openRoleLog(settings, silentLogger, 'events')
  const append = (sequence: number, value: Uint8Array) => {
    const times = { enqueuedAtMsFirst: 1_000, enqueuedAtMsLast: 1_000 }
    return log.append(0, { schemaVersion: 1, edgeId: 'e', epoch: 1, sequence, messageCount: 1, ...times }, value)
  }
  const letters: string[] = []
  const box = {
    put: async ({ reason }: { reason: string }) => void letters.push(reason),
    lettered: async () => new Map(),
  }
  const delivery = await deliverEvents('events', settings, warehouse, box, noEndpoints, silentLogger)
  if (delivery === undefined) throw new Error('events are wanted')
  const counted = (name: string) =>
    delivery.samples().reduce((sum, [sample, , value]) => (sample === name ? sum + value : sum), 0)
  // Each alert on events needs its series from the start.
  const alerts = readFileSync(join(import.meta.dirname, '../../docs/alerts.yml'), 'utf8')
  const alerted = new Set(alerts.match(/penstock_events_\w+_total/g))
  expect(alerted.size).toBeGreaterThan(2)
  for (const name of alerted) expect(delivery.samples().map(([sample]) => sample)).toContain(name)

  await append(0, Buffer.from('no batch at all'))
  const envelope = { deviceId: 'd', enqueuedAtMs: 1_000, body: Buffer.from('{}'), properties: {}, systemProperties: {} }
  await append(1, batchFromMessages([{ bytes: envelopeBytes(envelope) }]))
  await expect.poll(() => counted('penstock_events_rows_stored_total'), { timeout: 30_000 }).toBe(1)
  expect(letters).toEqual(['BATCH_CORRUPT'])
  await expect.poll(() => counted('penstock_events_dead_letters_total')).toBe(1)
  expect(delivery.samples().filter(([name]) => !name.startsWith('penstock_events_'))).toEqual([])
  await delivery.close()
  await log.close()
})

test('a change of a twin becomes a row, with what is asked for most in columns of its own', async () => {
  const log = await openRoleLog(settings, silentLogger, 'twin-events')
  const change = { deviceId: 'd', moduleId: 'm', id: '7', opType: 'replaceTwin', atMs: 5_000 } as const
  const bytes = envelopeBytes(twinEventEnvelope({ ...change, body: '{"version":41,"tags":{}}' }, 'hub', 6_000))
  const times = { enqueuedAtMsFirst: 6_000, enqueuedAtMsLast: 6_000 }
  const stamp = { schemaVersion: 1, edgeId: 'c', epoch: 1, sequence: 0, messageCount: 1, ...times }
  await log.append(0, stamp, batchFromMessages([{ bytes }]))
  const delivery = await deliverEvents('twin-events', settings, warehouse, noLetters, noEndpoints, silentLogger)
  if (delivery === undefined) throw new Error('changes of twins are wanted')
  const columns =
    "device_id, module_id, op_type, toString(changed_at) AS changed, toUInt32(version) AS version, system_properties['correlationId'] AS id"
  const rows = () => warehouse.query(`SELECT ${columns} FROM penstock.twin_events`)
  await expect.poll(rows, { timeout: 30_000 }).toEqual([
    {
      device_id: 'd',
      module_id: 'm',
      op_type: 'replaceTwin',
      changed: '1970-01-01 00:00:05.000',
      version: 41,
      id: '7',
    },
  ])
  // A row is seen before it is counted.
  await expect
    .poll(() => delivery.samples())
    .toContainEqual(['penstock_events_rows_stored_total', 'events="twin",sink="clickhouse-twin-events"', 1])
  await delivery.close()
  await log.close()
})
