import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-embedded-'))
let warehouse: EmbeddedWarehouse
let url: string
let client: ClickHouseClient

const start = () =>
  startEmbeddedWarehouse({
    dataDir,
    bind: '127.0.0.1',
    port: 0,
    password: 'w',
    readonlyPassword: 'r',
    logger: silentLogger,
  })

beforeAll(async () => {
  warehouse = await start()
  url = `http://127.0.0.1:${warehouse.port}`
  client = createClient({ url, username: 'default', password: 'w', log: { level: ClickHouseLogLevel.OFF } })
}, 60_000)

afterAll(async () => {
  await client?.close()
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

/** POSTs a statement as `default`; `parameters` go into the URL. */
const post = (
  body: string | Uint8Array,
  parameters: Record<string, string> = {},
  headers: Record<string, string> = {},
) =>
  fetch(`${url}/?${new URLSearchParams(parameters)}`, {
    method: 'POST',
    body: body as Buffer,
    headers: { 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': 'w', ...headers },
  })
const text = async (body: string | Uint8Array, parameters: Record<string, string> = {}) =>
  (await post(body, parameters)).text()

describe('statements and their formats', () => {
  it('takes the statement from the URL, the body, or both', async () => {
    expect(await text('', { query: 'SELECT 1' })).toBe('1\n')
    expect(await text('SELECT 2')).toBe('2\n')
    expect(await text('+ 2', { query: 'SELECT 1' })).toBe('3\n')
    const got = await fetch(`${url}/?query=SELECT%203&user=default&password=w`)
    expect(await got.text()).toBe('3\n')
  })

  it('answers in the format of the statement, else default_format, else TabSeparated', async () => {
    expect(await text('SELECT 1 AS a FORMAT JSONEachRow', { default_format: 'CSV' })).toBe('{"a":1}\n')
    expect(await text("SELECT 'x' AS a", { default_format: 'CSV' })).toBe('"x"\n')
    const response = await post("SELECT 'x' AS a")
    expect(response.headers.get('x-clickhouse-format')).toBe('TabSeparated')
    expect(await response.text()).toBe('x\n')
  })

  it('ends a statement at comments and semicolons as ClickHouse does, and refuses a second one', async () => {
    expect(await text('SELECT 1 -- all; of; it')).toBe('1\n')
    expect(await text("SELECT ';' ; ")).toBe(';\n')
    expect(await text('SELECT 1 FORMAT CSV;')).toBe('1\n')
    const two = await post('SELECT 1; SELECT 2')
    expect([two.status, two.headers.get('x-clickhouse-exception-code')]).toEqual([400, '62'])
  })

  it.each([
    'JSON',
    'JSONCompact',
    'JSONEachRow',
    'JSONStringsEachRow',
    'CSVWithNames',
    'TSVWithNamesAndTypes',
    'Pretty',
    'Markdown',
    'Vertical',
    'XML',
    'Native',
    'RowBinary',
    'Parquet',
    'Arrow',
    'ArrowStream',
    'ORC',
    'Avro',
    'Values',
    'Null',
  ])('gives a result in %s, the same bytes twice', async (format) => {
    const statement = `SELECT number AS n, toString(number) AS s FROM numbers(3) FORMAT ${format}`
    const [first, second] = await Promise.all([post(statement), post(statement)])
    expect(first.status).toBe(200)
    expect(first.headers.get('x-clickhouse-format')).toBe(format)
    const bytes = new Uint8Array(await first.arrayBuffer()).length
    expect(bytes > 0).toBe(format !== 'Null')
    expect(second.status).toBe(200)
    await second.arrayBuffer()
  })

  it('runs SHOW, DESCRIBE, EXPLAIN, EXISTS, WITH, USE and DDL', async () => {
    expect(await text('SHOW DATABASES')).toContain('default\n')
    expect(await text('DESCRIBE TABLE system.one')).toContain('dummy')
    expect(await text('EXPLAIN SELECT 1')).toContain('ReadFromSystemOne')
    expect(await text('EXISTS TABLE system.one')).toBe('1\n')
    expect(await text('WITH 5 AS x SELECT x')).toBe('5\n')
    expect((await post('USE system')).status).toBe(200)
    expect((await post('CREATE TABLE ddl (a Int8) ENGINE = Memory')).status).toBe(200)
    expect(await text('SELECT count() FROM tables', { database: 'system' })).toMatch(/^\d+\n$/)
  })

  it('binds parameters and applies settings of the URL, and none of them reaches the next request', async () => {
    const statement = 'SELECT {a:UInt32} + 1, {s:String}, getSetting({t:String})'
    expect(
      await text(statement, { param_a: '41', param_s: "it's \\tok", param_t: 'max_threads', max_threads: '3' }),
    ).toBe("42\tit\\'s \\tok\t3\n")
    expect(await text("SELECT getSetting('max_result_rows')")).toBe('0\n')
    const missing = await post('SELECT {a:UInt32}')
    expect(missing.headers.get('x-clickhouse-exception-code')).toBe('456')
    const unknown = await post('SELECT 1', { no_such_setting: '1' })
    expect([unknown.status, unknown.headers.get('x-clickhouse-exception-code')]).toEqual([404, '115'])
    await unknown.text()
    await missing.text()
  })

  it('binds many parameters of concurrent requests without mixing them up', async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, n) => text('SELECT {n:UInt32}', { param_n: `${n}` })),
    )
    expect(answers).toEqual(Array.from({ length: 100 }, (_, n) => `${n}\n`))
  })
})

describe('inserts', () => {
  it('takes rows behind VALUES and behind FORMAT, in the body or from the URL on', async () => {
    await text("CREATE TABLE u (a Int64, b String DEFAULT 'd', c Int64 DEFAULT a * 2) ENGINE = MergeTree ORDER BY a")
    expect(await text("INSERT INTO u VALUES (1, 'x', 3), (2, 'y;--', 1 + 4)")).toBe('')
    expect(await text('INSERT INTO u FORMAT JSONEachRow\n{"a":3}\n{"a":4,"b":"q","c":null}\n')).toBe('')
    expect(await text('5,e,1\n6,f,2\n', { query: 'INSERT INTO u FORMAT CSV' })).toBe('')
    expect(await text("(7,'g',7)", { query: 'INSERT INTO u VALUES' })).toBe('')
    expect(await text('INSERT INTO u (a) SETTINGS max_threads = 1 FORMAT TSV\n8\n9\n')).toBe('')
    expect(await text('INSERT INTO u SELECT a + 10, b, c FROM u WHERE a = 1')).toBe('')
    expect(await text("INSERT INTO u FORMAT Values (30,'v',0)")).toBe('')
    const selected = await post("WITH 31 AS w INSERT INTO u SELECT w, 'w', 0")
    expect(JSON.parse(selected.headers.get('x-clickhouse-summary') ?? '{}').written_rows).toBe('1')
    expect(
      await text("SELECT a, b, c FROM input('a Int64, b String, c Int64') FORMAT CSV\n20,h,0\n", {
        query: 'INSERT INTO u',
      }),
    ).toBe('')
    expect(await text('SELECT * FROM u ORDER BY a FORMAT CSV')).toBe(
      '1,"x",3\n2,"y;--",5\n3,"d",6\n4,"q",8\n5,"e",1\n6,"f",2\n7,"g",7\n8,"d",16\n9,"d",18\n11,"x",3\n20,"h",0\n30,"v",0\n31,"w",0\n',
    )
  })

  it.each(['Avro', 'Native', 'Parquet', 'RowBinary', 'ArrowStream', 'ORC', 'MsgPack'])(
    'a binary insert in %s keeps every row, whatever its first bytes are',
    async (format) => {
      const rows = 50_000
      const structure = 'a Int64, s String'
      const select = `SELECT toInt64(538976288 * 10 + number) AS a, concat(' \\n\\t', toString(number)) AS s FROM numbers(${rows}) FORMAT ${format}`
      const body = new Uint8Array(await (await post(select)).arrayBuffer())
      await text(`CREATE TABLE b_${format} (${structure}) ENGINE = MergeTree ORDER BY a`)
      const inserted = await post(body, { query: `INSERT INTO b_${format} FORMAT ${format}` })
      expect(await inserted.text()).toBe('')
      const summary = JSON.parse(inserted.headers.get('x-clickhouse-summary') ?? '{}')
      expect(summary.written_rows).toBe(`${rows}`)
      const through = await post(body, {
        query: `INSERT INTO b_${format} SELECT a, s FROM input('${structure}') FORMAT ${format}`,
      })
      expect(await through.text()).toBe('')
      expect(JSON.parse(through.headers.get('x-clickhouse-summary') ?? '{}').written_rows).toBe(`${rows}`)
      expect(await text(`SELECT count(), sum(a - 5389762880), uniqExact(s) FROM b_${format}`)).toBe(
        `${rows * 2}\t${rows * (rows - 1)}\t${rows}\n`,
      )
    },
  )

  it('500,000 rows of several Avro blocks become one part a partition, and the same token is stored once', async () => {
    await text(
      "CREATE TABLE one (d String, t DateTime64(3, 'UTC'), p UInt32) ENGINE = MergeTree PARTITION BY toDate(t) ORDER BY d SETTINGS non_replicated_deduplication_window = 100",
    )
    await text('SYSTEM STOP MERGES one')
    const made = await post(
      "SELECT concat('device-', toString(number % 100)) AS d, toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + intDiv(number, 250000) * 86400 AS t FROM numbers(500000) FORMAT Avro",
      { output_format_avro_codec: 'zstd', output_format_avro_sync_interval: '32768' },
    )
    const body = new Uint8Array(await made.arrayBuffer())
    const query = "INSERT INTO one SELECT *, 7 FROM input('d String, t DateTime64(3)') FORMAT Avro"
    const together = ['c', 'c', 'c'].map((token) => text(body, { query, insert_deduplication_token: token }))
    expect(await Promise.all(together)).toEqual(['', '', ''])
    for (const token of ['a', 'a', 'b']) expect(await text(body, { query, insert_deduplication_token: token })).toBe('')
    expect(
      await text(
        "SELECT partition, count(), sum(rows) FROM system.parts WHERE table = 'one' AND active GROUP BY 1 ORDER BY 1",
      ),
    ).toBe('2026-01-01\t3\t750000\n2026-01-02\t3\t750000\n')
  })

  it('takes compressed bodies, and leaves nothing of one that is broken', async () => {
    await text('CREATE TABLE z (a Int64) ENGINE = MergeTree ORDER BY a')
    const rows = Buffer.from('1\n2\n3\n')
    for (const [encoding, bytes] of [
      ['gzip', gzipSync(rows)],
      ['zstd', zstdCompressSync(rows)],
      ['lz4', Buffer.from('04224d1860408206000080310a320a330a00000000', 'hex')],
    ] as const) {
      const response = await post(bytes, { query: 'INSERT INTO z FORMAT TSV' }, { 'Content-Encoding': encoding })
      expect(await response.text()).toBe('')
    }
    const cut = await post(
      gzipSync(Buffer.alloc(1e6, '4\n')).subarray(0, 800),
      { query: 'INSERT INTO z FORMAT TSV' },
      { 'Content-Encoding': 'gzip' },
    )
    expect(cut.headers.get('x-clickhouse-exception-code')).toBe('271')
    await cut.text()
    expect(await text('SELECT count() FROM z')).toBe('9\n')
  })

  it('a client that dies half-way through its rows leaves none', async () => {
    await text('CREATE TABLE cut (a Int64) ENGINE = MergeTree ORDER BY a')
    const abort = new AbortController()
    async function* rows() {
      yield Buffer.from('1\n2\n')
      abort.abort()
      yield Buffer.from('3\n')
    }
    const body = Readable.toWeb(Readable.from(rows())) as unknown as Buffer
    const sent = fetch(`${url}/?user=default&password=w&query=INSERT+INTO+cut+FORMAT+TSV`, {
      method: 'POST',
      body,
      signal: abort.signal,
      duplex: 'half',
    } as RequestInit)
    await expect(sent).rejects.toThrow()
    expect(await text('SELECT count() FROM cut')).toBe('0\n')
  })

  it('tells of rows that do not parse', async () => {
    const response = await post('INSERT INTO u FORMAT JSONEachRow\n{"a":"x"}')
    expect(response.status).toBe(400)
    expect(await response.text()).toMatch(/^Code: \d+\. DB::Exception: .*\(version 26\.[\d.]+\)\n$/s)
  })
})

describe('errors', () => {
  it.each([
    ['SELEC 1', 400, 62],
    ['SELECT nope', 404, 47],
    ['SELECT * FROM nope', 404, 60],
    ['SELECT * FROM nope.nope', 404, 81],
    ['SELECT nope(1)', 404, 46],
    ['SELECT 1 FORMAT Nope', 404, 73],
    ["SELECT toUInt8('x')", 400, 6],
    ['SELECT throwIf(1)', 500, 395],
    ['', 400, 62],
  ])('%s has status %i and code %i', async (statement, status, code) => {
    const response = await post(statement)
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([status, `${code}`])
    expect(await response.text()).toContain(`Code: ${code}. DB::Exception: `)
  })
})

describe('the protocol around statements', () => {
  it('answers /ping and /replicas_status, HEAD, OPTIONS, and 404 elsewhere', async () => {
    expect(await (await fetch(`${url}/ping`)).text()).toBe('Ok.\n')
    expect(await (await fetch(`${url}/replicas_status`)).text()).toBe('Ok.\n')
    expect((await fetch(`${url}/ping`, { method: 'HEAD' })).status).toBe(200)
    expect(await (await fetch(`${url}/`)).text()).toBe('Ok.\n')
    expect((await fetch(`${url}/nothing`)).status).toBe(404)
    const options = await fetch(url, { method: 'OPTIONS' })
    expect([options.status, options.headers.get('allow')]).toEqual([204, 'GET, HEAD, OPTIONS, POST'])
  })

  it('keeps the query id, refuses a second running one, and stops it by KILL QUERY', async () => {
    const running = post('SELECT count() FROM system.numbers', { query_id: 'mine' })
    const waiting = async (): Promise<void> => {
      const seen = await text("SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'mine'")
      if (seen !== '1\n') await waiting()
    }
    await waiting()
    const second = await post('SELECT 1', { query_id: 'mine' })
    expect(second.headers.get('x-clickhouse-exception-code')).toBe('216')
    await second.text()
    await text("KILL QUERY WHERE query_id = 'mine'")
    const response = await running
    expect(response.headers.get('x-clickhouse-query-id')).toBe('mine')
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('394')
    await response.text()
  })

  it('a query ends when its client goes away, before and while it streams', async () => {
    for (const [id, statement] of [
      ['gone-1', 'SELECT count() FROM system.numbers'],
      ['gone-2', 'SELECT * FROM system.numbers'],
    ] as const) {
      const abort = new AbortController()
      const running = fetch(`${url}/?user=default&password=w&query_id=${id}`, {
        method: 'POST',
        body: statement,
        signal: abort.signal,
      })
      const count = () => text(`SELECT count() FROM system.processes WHERE Settings['log_comment'] = '${id}'`)
      while ((await count()) !== '1\n');
      abort.abort()
      await running.then((response) => response.text()).catch(() => {})
      while ((await count()) !== '0\n');
    }
  })

  it('answers pings and inserts while long queries fill their places', async () => {
    // The pipeline's own statements are among them: they never wait behind analysts.
    const abort = new AbortController()
    const long = Array.from({ length: 40 }, () =>
      fetch(`${url}/?user=readonly&password=r`, {
        method: 'POST',
        body: 'SELECT count() FROM system.numbers',
        signal: abort.signal,
      }).then(
        (response) => response.text(),
        () => 'gone',
      ),
    )
    expect((await fetch(`${url}/ping`)).status).toBe(200)
    expect(await text('INSERT INTO u VALUES (100, 1, 1)')).toBe('')
    expect(await text('SELECT count() FROM u WHERE a = 100')).toBe('1\n')
    abort.abort()
    expect(new Set(await Promise.all(long))).toEqual(new Set(['gone']))
    expect(await text('SELECT 1')).toBe('1\n')
  })
})

describe('@clickhouse/client', () => {
  it('pings, inserts objects and streams, and reads them back', async () => {
    expect((await client.ping()).success).toBe(true)
    expect((await client.ping({ select: true })).success).toBe(true)
    await client.command({ query: 'CREATE TABLE c (id UInt64, name String) ENGINE = MergeTree ORDER BY id' })
    const inserted = await client.insert({ table: 'c', values: [{ id: '1', name: 'a' }], format: 'JSONEachRow' })
    expect(inserted.summary?.written_rows).toBe('1')
    await client.insert({
      table: 'c',
      values: Readable.from([[2, 'b']], { objectMode: true }),
      format: 'JSONCompactEachRow',
    })
    await client.insert({ table: 'c', values: Readable.from('3,c\n', { objectMode: false }), format: 'CSV' })
    await client.insert({ table: 'c', values: [{ id: 4 }], format: 'JSONEachRow', columns: ['id'] })
    const result = await client.query({
      query: 'SELECT * FROM c WHERE id < {max:UInt8} ORDER BY id',
      format: 'JSONEachRow',
      query_params: { max: 9 },
    })
    expect(await result.json()).toEqual([
      { id: 1, name: 'a' },
      { id: 2, name: 'b' },
      { id: 3, name: 'c' },
      { id: 4, name: '' },
    ])
  })

  it('streams rows, compresses both ways, runs exec, and throws ClickHouse errors', async () => {
    const zipped = createClient({
      url,
      username: 'default',
      password: 'w',
      compression: { request: true, response: true },
    })
    await zipped.insert({ table: 'c', values: [{ id: 5, name: 'e' }], format: 'JSONEachRow' })
    const rows = await zipped.query({ query: 'SELECT number FROM numbers(100000)', format: 'JSONEachRow' })
    let count = 0
    for await (const part of rows.stream()) count += part.length
    expect(count).toBe(100_000)
    await zipped.close()
    const { stream, query_id } = await client.exec({ query: 'SELECT 1 FORMAT CSV', query_id: 'exec-1' })
    expect(query_id).toBe('exec-1')
    expect((await stream.toArray()).join('')).toBe('1\n')
    await expect(client.query({ query: 'SELECT nope' })).rejects.toMatchObject({
      code: '47',
      type: 'UNKNOWN_IDENTIFIER',
    })
  })
})

it('everything stored is there after a restart', async () => {
  const before = await text('SELECT count(), sum(a) FROM u')
  await client.command({ query: 'CREATE DATABASE other' })
  await client.command({ query: 'CREATE TABLE other.kept (a Int8) ENGINE = MergeTree ORDER BY a' })
  await text('INSERT INTO other.kept VALUES (5)')
  await client.close()
  await warehouse.close()
  warehouse = await start()
  url = `http://127.0.0.1:${warehouse.port}`
  client = createClient({ url, username: 'default', password: 'w', log: { level: ClickHouseLogLevel.OFF } })
  expect(await text('SELECT count(), sum(a) FROM u')).toBe(before)
  expect(await text('SELECT a FROM other.kept')).toBe('5\n')
  expect(await text("SELECT engine FROM system.databases WHERE name = 'default'")).toBe('Atomic\n')
})
