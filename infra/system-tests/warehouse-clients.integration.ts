/** The clients with which analysts come to the embedded engine get what a ClickHouse server would give them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serverFor } from '#infra/testbed/require-server.ts'
import {
  type ClientLogin,
  goMissing,
  jdbcMissing,
  pythonClientsMissing,
  runGo,
  runJdbc,
  runPython,
} from '#infra/testbed/warehouse-clients.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { silentLogger } from '#runtime/logger.ts'

const python = serverFor('clients for Python', pythonClientsMissing)
const go = serverFor('clickhouse-go', goMissing)
const jdbc = serverFor('JDBC', jdbcMissing)

/** The first run fetches what a client is made of. */
const fetchMsMax = 600_000

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-clients-'))
const passwords: Readonly<Record<string, string>> = { default: 'default, secret', analyst: 'a+b/c', readonly: 'r%20' }
let warehouse: EmbeddedWarehouse

beforeAll(async () => {
  warehouse = await startEmbeddedWarehouse({
    dataDir,
    bind: '127.0.0.1',
    port: 0,
    password: passwords.default as string,
    analystPassword: passwords.analyst as string,
    readonlyPassword: passwords.readonly as string,
    logger: silentLogger,
  })
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const login = (user: string): ClientLogin => ({
  port: warehouse.port,
  user,
  password: passwords[user] as string,
  database: user === 'default' ? 'default' : 'analyst',
})

const users = ['default', 'analyst', 'readonly']

describe('@clickhouse/client', () => {
  it.each(users)('reads and is told of errors, as %s', async (user) => {
    const { port, password, database } = login(user)
    for (const compressed of [false, true]) {
      const log = { level: ClickHouseLogLevel.OFF }
      const compression = { request: compressed, response: compressed }
      const client = createClient({
        url: `http://127.0.0.1:${port}`,
        username: user,
        password,
        database,
        compression,
        log,
      })
      const query = 'SELECT {a:String} AS a, currentUser() AS user'
      const result = await client.query({ query, query_params: { a: "it's \\ \t" }, format: 'JSONEachRow' })
      expect(await result.json()).toEqual([{ a: "it's \\ \t", user }])
      await expect(client.query({ query: 'SELECT nope' })).rejects.toMatchObject({ code: '47' })
      if (user !== 'readonly') {
        await client.command({ query: 'CREATE OR REPLACE TABLE js (a Int8, b String) ENGINE = MergeTree ORDER BY a' })
        await client.insert({ table: 'js', values: [{ a: 1, b: "it's" }], format: 'JSONEachRow' })
        const rows = await client.query({ query: 'SELECT * FROM js', format: 'JSON' })
        expect(await rows.json()).toMatchObject({ data: [{ a: 1, b: "it's" }], rows: 1 })
      }
      await client.close()
    }
  })
})

describe.skipIf(python.skip)(`clients for Python ${python.note}`, { timeout: fetchMsMax }, () => {
  it.each(users)('clickhouse-connect with pandas, Arrow and tables of its own, as %s', async (user) => {
    await runPython('connect.py', login(user))
  })

  it.each(['analyst', 'readonly'])('SQLAlchemy, as %s', async (user) => {
    await runPython('alchemy.py', login(user))
  })

  it.each(['analyst', 'readonly'])('ibis with memtables, as %s', async (user) => {
    await runPython('memtables.py', login(user))
  })

  it('dbt seeds, runs and runs again', async () => {
    await runPython('dbt_project.py', login('analyst'))
  })
})

describe.skipIf(go.skip)(`clickhouse-go ${go.note}`, { timeout: fetchMsMax }, () => {
  it.each(['analyst', 'readonly'])(
    'reads, writes and is told of errors, under every compression, as %s',
    async (user) => {
      await runGo(login(user))
    },
  )
})

describe.skipIf(jdbc.skip)(`JDBC ${jdbc.note}`, { timeout: fetchMsMax }, () => {
  it.each([
    ['0.8.6', 'analyst'],
    ['0.9.4', 'analyst'],
    ['0.9.4', 'readonly'],
  ])('%s reads all rows and writes batches, as %s', async (version, user) => {
    await runJdbc(version, login(user))
  })
})
