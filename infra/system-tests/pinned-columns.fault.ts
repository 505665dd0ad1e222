/** Fields are pinned while messages come, and worker and warehouse are killed: each row once, with what its body says in its columns. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RestClient } from '#control/client/client.ts'
import { type Role, type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { wholeAs } from '#runtime/json-check.ts'

const ownerKey = Buffer.from('the owner of the tests has a key').toString('base64')
const dataDir = mkdtempSync(join(tmpdir(), 'penstock-pinned-'))
let penstock: RunningPenstock
let warehouse: Warehouse
let rest: RestClient

beforeAll(async () => {
  penstock = await startPenstock(dataDir, {
    PENSTOCK_IDENTITIES: 'required',
    PENSTOCK_OWNER_KEY: ownerKey,
    PENSTOCK_INSERT_DELAY_MS: '50',
  })
  rest = new RestClient({ url: penstock.httpUrl, hostName: 'localhost', ownerKey })
  warehouse = openWarehouse({ url: penstock.clickhouseUrl, user: 'default', password: '', requestMsMax: 30_000 })
}, 120_000)
afterAll(async () => {
  await warehouse?.close()
  await penstock?.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const document = {
  properties: { n: { type: 'number' }, s: { type: 'string' }, at: { type: 'string', format: 'date-time' } },
}
/** What the columns must have, said anew and in another way. */
const differing = `countIf(
  M_n IS DISTINCT FROM toFloat64OrNull(JSONExtractRaw(body, 'n'))
  OR M_s IS DISTINCT FROM if(JSONType(body, 's') = 'String', JSONExtractString(body, 's'), NULL)
  OR M_at IS DISTINCT FROM parseDateTime64BestEffortOrNull(JSONExtractString(body, 'at'), 3, 'UTC'))`
const anObject = (value: unknown): object => Object(value)
const count = async (what: string): Promise<number> =>
  Number((await warehouse.query(`SELECT ${what} AS n FROM penstock.telemetry`))[0]?.n)
/** While the engine is being started again it does not answer. */
const rows = (): Promise<number> => count('count()').catch(() => -1)
const identity = wholeAs<{ readonly authentication: { readonly symmetricKey: { readonly primaryKey: string } } }>(
  anObject,
)
const model = wholeAs<{ readonly fault: string | undefined }>(anObject)

async function killed(role: Role): Promise<void> {
  const before = penstock.pidsOf(role)
  for (const pid of before) process.kill(pid, 'SIGKILL')
  await expect.poll(() => penstock.pidsOf(role).some((pid) => !before.includes(pid)), { timeout: 30_000 }).toBe(true)
}

test('rows come once, whole with their pinned columns, however often worker and warehouse are killed [G-2]', {
  timeout: 120_000,
}, async () => {
  const password = (await rest.json(identity, 'PUT', '/devices/d1', { deviceId: 'd1' })).authentication.symmetricKey
    .primaryKey
  const device = await mqtt.connectAsync(penstock.mqttUrl, { clientId: 'd1', username: 'd1', password })
  let isOver = false
  let sent = 0
  const sending = (async () => {
    for (; !isOver; sent += 20) {
      const bodies = Array.from({ length: 20 }, (_, index) => bodyOf(sent + index))
      await Promise.all(bodies.map((body) => device.publishAsync('devices/d1/messages/events/', body, { qos: 1 })))
    }
  })()
  const more = async (): Promise<void> => {
    const before = sent
    await expect.poll(rows, { timeout: 60_000 }).toBeGreaterThan(before + 100)
  }
  await more()
  await rest.json(model, 'PUT', '/api/models/M', { document })
  for (const [field, role] of [
    ['n', 'worker'],
    ['s', 'warehouse'],
    ['at', 'worker'],
  ] as const) {
    await rest.json(model, 'PUT', `/api/models/M/pins/${field}`)
    await killed(role)
    await more()
  }
  await killed('worker')
  await more()
  isOver = true
  await sending
  await device.endAsync()
  await expect.poll(rows, { timeout: 60_000 }).toBe(sent)
  expect(await count("uniqExact(extract(body, '\\\\d+'))")).toBe(sent)
  const { fault } = await rest.json(model, 'GET', '/api/models/M')
  expect(fault).toBeUndefined()
  expect(await count(differing)).toBe(0)
  expect(await count('countIf(M_n IS NOT NULL)')).toBeGreaterThan(sent / 2)
  // Of the newest parts all three are on disk, and not computed when they are read.
  const [stored] = await warehouse.query(
    "SELECT uniqExact(column) AS n FROM system.parts_columns WHERE database = 'penstock' AND table = 'telemetry' AND active AND column LIKE 'M\\\\_%'",
  )
  expect(Number(stored?.n)).toBe(3)
  const verified = spawnSync(process.execPath, [join(import.meta.dirname, '../penstock.js'), 'verify'], {
    env: { ...process.env, PENSTOCK_DATA_DIR: dataDir, PENSTOCK_CLICKHOUSE_URL: penstock.clickhouseUrl },
    encoding: 'utf8',
  })
  expect(verified.stdout).toContain('every delivered message is stored exactly once')
  expect(verified.status).toBe(0)
})

/** Numbered, and now and then not what the model says. */
function bodyOf(sequence: number): string {
  if (sequence % 7 === 3) return `${sequence} is no JSON`
  if (sequence % 7 === 5) return `{"q":${sequence},"n":"x","s":5,"at":"never"}`.replace('"s":5', '"s":null')
  return `{"q":${sequence},"n":${sequence}.5,"s":"it's ${sequence}","at":"2026-05-04T08:15:00.123Z"}`
}
