import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { httpStatusOf } from './engine-error.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-embedded-'))
let warehouse: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  const loopback = { bind: '127.0.0.1', port: 0, password: 'w', readonlyPassword: 'r', logger: silentLogger }
  warehouse = await startEmbeddedWarehouse({ dataDir, ...loopback })
  url = `http://127.0.0.1:${warehouse.port}`
  await (await post('CREATE TABLE u (a Int64, b String, c Int64) ENGINE = MergeTree ORDER BY a')).text()
  await (await post("INSERT INTO u SELECT number, '', 0 FROM numbers(9)")).text()
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** POSTs a statement as `default`; `parameters` go into the URL. */
const post = (body: string, parameters: Record<string, string> = {}, headers: Record<string, string> = {}) =>
  fetch(`${url}/?${new URLSearchParams(parameters)}`, {
    method: 'POST',
    body,
    headers: { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': 'w', ...headers },
  })

describe('users', () => {
  it('refuses a wrong password and an unknown user with code 516', async () => {
    for (const [user, key] of [
      ['default', 'no'],
      ['nobody', ''],
      ['readonly', 'w'],
    ] as const) {
      const response = await fetch(`${url}/?query=SELECT+1`, {
        headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': key },
      })
      expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([403, '516'])
      await response.text()
    }
    const basic = await fetch(`${url}/?query=SELECT+1`, { headers: { Authorization: `Basic ${btoa('readonly:r')}` } })
    expect(await basic.text()).toBe('1\n')
  })

  it.each([
    'CREATE TABLE r (a Int8) ENGINE = Memory',
    'INSERT INTO u VALUES (1)',
    'INSERT INTO u SELECT 1',
    "WITH 1 AS a INSERT INTO u SELECT a, '', 0",
    'DROP TABLE u',
    'SYSTEM STOP MERGES',
    'KILL QUERY WHERE 1',
    "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "SELECT * FROM remote('127.0.0.1:9000', system.one)",
    'SET max_threads = 1',
    'SELECT 1 SETTINGS max_threads = 9',
  ])('readonly may not: %s', async (statement) => {
    const response = await post(statement, {}, { 'X-ClickHouse-User': 'readonly', 'X-ClickHouse-Key': 'r' })
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('164')
    await response.text()
  })

  it('readonly reads, shapes its results and may not change other settings', async () => {
    const as = { 'X-ClickHouse-User': 'readonly', 'X-ClickHouse-Key': 'r' }
    expect(await (await post('SELECT count() > 5 FROM u', { max_execution_time: '9' }, as)).text()).toBe('1\n')
    const refused = await post('SELECT 1', { allow_ddl: '1' }, as)
    expect(refused.headers.get('x-clickhouse-exception-code')).toBe('164')
    await refused.text()
  })

  it.each([
    "SELECT * FROM file('/etc/hostname', LineAsString)",
    "SELECT file('/etc/hostname')",
    "SELECT `file`('/etc/hostname')",
    "SELECT '/etc/hostname' AS f, * APPLY file",
    'SELECT * FROM "/etc/hostname"',
    "SELECT * FROM '/etc/hostname'",
    'SELECT * FROM default.`/etc/hostname`',
    "SELECT * FROM url('file:///etc/hostname', LineAsString)",
    "SELECT * FROM url(concat('fi', 'le:///etc/hostname'), LineAsString)",
    "SELECT 1 INTO OUTFILE '/tmp/penstock-never'",
    "INSERT INTO u FROM INFILE '/etc/hostname' FORMAT CSV",
    "INSERT INTO FUNCTION file('/tmp/penstock-never', CSV, 'a Int8') VALUES (1)",
    "CREATE TABLE f (a String) ENGINE = File(CSV, '/etc/hostname')",
    "CREATE DATABASE fs ENGINE = Filesystem('/etc')",
    "SELECT * FROM executable('x', TSV, 'a Int8')",
  ])('nobody reaches the files of the machine: %s', async (statement) => {
    for (const [user, key] of [
      ['default', 'w'],
      ['readonly', 'r'],
    ] as const) {
      const response = await post(statement, {}, { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': key })
      const body = await response.text()
      expect(response.status, body).not.toBe(200)
      expect(response.headers.get('x-clickhouse-exception-code')).toMatch(/^(291|358|78|60|164)$/)
    }
  })

  it.each([
    { default_format: "CSV; SELECT file('/etc/hostname')" },
    { database: "default`; SELECT file('/etc/hostname') -- " },
    { "max_threads = 1; SELECT file('/etc/hostname') -- ": '1' },
    { param_x: "1'; SELECT file('/etc/hostname') -- ", database: 'nope' },
    { query_id: "x'; SELECT file('/etc/hostname') -- ", query: 'SELECT nope' },
    { default_format: 'TSV', query: "INSERT INTO u FORMAT `CSV' ; SELECT 1`" },
  ])('nothing of the URL becomes a statement: %j', async (given) => {
    const parameters = given as unknown as Record<string, string>
    const body = 'query' in parameters ? '' : 'SELECT 1'
    const response = await post(body, parameters, { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': 'w' })
    expect(response.headers.get('x-clickhouse-exception-code')).toMatch(/^(73|81|115|47)$/)
    await response.text()
  })

  it('whoever guesses at an address is slowed, and the right password from there gets in', async () => {
    const ask = (key: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const headers = { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': key }
        const asked = request(
          `${url}/?query=SELECT+1`,
          { localAddress: '127.0.0.2', agent: false, headers },
          (answer) => {
            answer.resume()
            resolve(answer.statusCode)
          },
        )
        asked.on('error', reject)
        asked.end()
      })
    const guesses = limits.passwordFailuresPerMinute + limits.passwordWaitMsMax / limits.passwordTurnMs + 10
    const told = await Promise.all(Array.from({ length: guesses }, (_, at) => ask(`guess ${at}`)))
    const [refused, late] = [httpStatusOf(516), httpStatusOf(202)]
    expect(told.filter((status) => status === refused).length).toBeGreaterThan(limits.passwordFailuresPerMinute)
    expect(told.every((status) => status === refused || status === late)).toBe(true)
    expect(await ask('w')).toBe(200)
    expect((await post('SELECT 1')).status).toBe(200)
  })

  it('a web page of another origin gets nothing', async () => {
    const response = await post('SELECT 1', {}, { Origin: 'http://elsewhere.example' })
    expect(response.status).toBe(403)
    await response.text()
  })

  it('GET never writes', async () => {
    const response = await fetch(
      `${url}/?user=default&password=w&query=${encodeURIComponent('CREATE TABLE g (a Int8) ENGINE = Memory')}`,
    )
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('164')
    await response.text()
  })
})
