import { mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { httpStatusOf } from './engine-error.ts'
import { dollarsMax } from './formatter.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-embedded-'))
let warehouse: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  const loopback = {
    bind: '127.0.0.1',
    port: 0,
    password: 'w',
    analystPassword: 'a',
    readonlyPassword: 'r',
    logger: silentLogger,
  }
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
    expect(response.headers.get('x-clickhouse-exception-code')).toMatch(/^(62|73|81|115|47)$/)
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

  it('each is who it says it is, and has the rights of that', async () => {
    for (const [user, key] of Object.entries({ default: 'w', analyst: 'a', readonly: 'r' })) {
      const as = { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': key }
      expect(await (await post('SELECT currentUser(), user(), currentRoles()', {}, as)).text()).toBe(
        `${user}\t${user}\t['${user}']\n`,
      )
    }
  })

  it('a statement that would take the engine quadratic time to read is refused before it reads it', async () => {
    const dollars = (count: number) => post(`SELECT 1 /* ${'$'.repeat(count)} */`)
    const [taken, refused] = [await dollars(dollarsMax), await dollars(dollarsMax + 1)]
    expect(await taken.text()).toBe('1\n')
    expect(refused.headers.get('x-clickhouse-exception-code')).toBe('62')
    expect(await refused.text()).toContain('dollar signs')
  })

  it('GET never writes', async () => {
    const response = await fetch(
      `${url}/?user=default&password=w&query=${encodeURIComponent('CREATE TABLE g (a Int8) ENGINE = Memory')}`,
    )
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('164')
    await response.text()
  })
})

describe('who reaches other servers', () => {
  const reaching = [
    "DESCRIBE url('http://127.0.0.1:1/', CSV)",
    "DESCRIBE s3(concat('http://127.0.0.1:1/', (SELECT 'a')), 'CSV')",
    "EXPLAIN SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    "SELECT * FROM view(SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String'))",
    "SELECT * FROM loop(remote('127.0.0.1:1', system.one))",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM merge('default', 'u') AS m JOIN url('http://127.0.0.1:1/', CSV, 'a String') AS x ON 1 = 1",
  ]
  it.each(reaching)('neither readonly nor analyst: %s', async (statement) => {
    for (const [user, key] of [
      ['readonly', 'r'],
      ['analyst', 'a'],
    ] as const) {
      const response = await post(statement, {}, { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': key })
      const text = await response.text()
      expect(response.headers.get('x-clickhouse-exception-code'), text).toMatch(/^(164|497|62)$/)
    }
  })
})

describe('the user analyst', () => {
  const as = { 'X-ClickHouse-User': 'analyst', 'X-ClickHouse-Key': 'a' }
  const answer = async (statement: string, parameters: Record<string, string> = {}) =>
    (await post(statement, parameters, as)).text()

  it('reads what is there, and makes, fills and drops tables of its own database', async () => {
    for (const statement of [
      'CREATE DATABASE IF NOT EXISTS analyst',
      'CREATE TABLE analyst.sums (a Int64, b String) ENGINE = SummingMergeTree ORDER BY a',
      'INSERT INTO analyst.sums SELECT a, b FROM u',
      "INSERT INTO analyst.sums VALUES (100, 'x'), (101, upper('y'))",
      "INSERT INTO analyst.sums SELECT a, b FROM input('a Int64, b String') FORMAT CSV\n102,z\n",
      'CREATE OR REPLACE VIEW analyst.seen AS SELECT count() AS n FROM u',
      'CREATE TABLE analyst.copy AS analyst.sums',
      'EXCHANGE TABLES analyst.copy AND analyst.sums',
      'ALTER TABLE analyst.copy DELETE WHERE a = 100 SETTINGS mutations_sync = 1',
      'DROP TABLE analyst.sums',
    ])
      expect(await answer(statement), statement).toBe('')
    expect(
      await answer('SELECT n > 5, (SELECT max(a) FROM analyst.copy), currentUser(), user() FROM analyst.seen'),
    ).toBe('1\t102\tanalyst\tanalyst\n')
    expect(await answer('DROP TABLE analyst.copy')).toBe('')
    expect(await answer('DROP VIEW analyst.seen')).toBe('')
  })

  it('keeps temporary tables in a session', async () => {
    const session = { session_id: 'of-the-analyst' }
    expect(await answer('CREATE TEMPORARY TABLE mine (a Int8)', session)).toBe('')
    expect(await answer('INSERT INTO mine VALUES (7)', session)).toBe('')
    expect(await answer('SELECT a FROM mine', session)).toBe('7\n')
  })

  it.each([
    "INSERT INTO u VALUES (1, '', 2)",
    'CREATE TABLE default.mine (a Int8) ENGINE = Memory',
    'CREATE DATABASE mine',
    'DROP TABLE u',
    'TRUNCATE TABLE u',
    'RENAME TABLE u TO analyst.u',
    'ALTER TABLE u DELETE WHERE 1',
    'ALTER TABLE u MOVE PARTITION tuple() TO TABLE analyst.u',
    'CREATE TABLE analyst.b (a Int64, b String, c Int64) ENGINE = Buffer(default, u, 1, 1, 1, 1, 1, 1, 1)',
    "CREATE TABLE analyst.d (a Int64) ENGINE = Distributed('default', default, u)",
    "CREATE TABLE analyst.l (a Int64) ENGINE = URL('http://127.0.0.1:1/', CSV)",
    'CREATE MATERIALIZED VIEW analyst.v TO default.u AS SELECT a, b, c FROM u',
    'CREATE VIEW analyst.v DEFINER = CURRENT_USER SQL SECURITY DEFINER AS SELECT 1',
    'CREATE FUNCTION f AS x -> x',
    'SYSTEM STOP MERGES',
    'KILL QUERY WHERE 1',
    'SET max_memory_usage = 1',
    'SELECT 1 SETTINGS max_threads = 1000',
    'SELECT 1 SETTINGS `max_execution_time` = 0',
    "SELECT * FROM viewIfPermitted(SELECT 1 SETTINGS max_result_bytes = 0 ELSE null('x UInt8'))",
  ])('may not: %s', async (statement) => {
    const response = await post(statement, {}, as)
    const text = await response.text()
    expect(response.headers.get('x-clickhouse-exception-code'), text).toMatch(/^(164|291|497)$/)
  })

  it.each(['readonly', 'analyst'])(
    'has, as %s, ceilings that the URL does not lift, and lower limits of its own',
    async (user) => {
      const settings = ['max_memory_usage', 'max_threads', 'max_execution_time', 'max_result_bytes']
      const ask = `SELECT ${settings.map((name) => `toUInt64(getSetting('${name}'))`).join(', ')} FORMAT JSONCompactEachRow`
      const of = async (value: string): Promise<number[]> => {
        const given = Object.fromEntries(settings.map((name) => [name, value]))
        const response = await post(ask, given, { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': user.slice(0, 1) })
        return JSON.parse(await response.text()).map(Number)
      }
      const ceilings = await of('0')
      expect(Math.min(...ceilings)).toBeGreaterThan(0)
      expect(await of('999999999999999')).toEqual(ceilings)
      expect(await of('1')).not.toEqual(ceilings)
    },
  )
})

it('`analyst` is not there where others have passwords and it has none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-embedded-'))
  await warehouse.close()
  const options = { dataDir: folder, bind: '127.0.0.1', port: 0, logger: silentLogger }
  for (const [passwords, status] of [
    [{ password: '', readonlyPassword: '' }, 200],
    [{ password: 'w', readonlyPassword: '' }, 403],
    [{ password: '', readonlyPassword: 'r' }, 403],
  ] as const) {
    warehouse = await startEmbeddedWarehouse({ ...options, ...passwords })
    const response = await fetch(`http://127.0.0.1:${warehouse.port}/?query=SELECT+1&user=analyst`)
    expect([passwords, response.status]).toEqual([passwords, status])
    await response.text()
    await warehouse.close()
  }
  rmSync(folder, { recursive: true, force: true })
})
