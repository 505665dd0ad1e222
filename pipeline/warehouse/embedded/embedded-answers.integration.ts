import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { ClickHouseLogLevel, createClient } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { blocksDecompressed, compressedBlock } from './compressed-blocks.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-answers-'))
let warehouse: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  const loopback = { bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '', logger: silentLogger }
  warehouse = await startEmbeddedWarehouse({ dataDir, ...loopback })
  url = `http://127.0.0.1:${warehouse.port}`
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const post = (
  body: string | Uint8Array,
  parameters: Record<string, string> = {},
  headers: Record<string, string> = {},
) => fetch(`${url}/?${new URLSearchParams(parameters)}`, { method: 'POST', body: body as Buffer, headers })
const text = async (body: string | Uint8Array, parameters: Record<string, string> = {}) =>
  (await post(body, parameters)).text()

describe('wait_end_of_query', () => {
  const waiting = { wait_end_of_query: '1' }

  it('gives a late error its own status, with nothing of the result', async () => {
    const response = await post('SELECT number, throwIf(number = 300000) FROM system.numbers', waiting)
    expect([response.status, response.headers.get('x-clickhouse-exception-code')]).toEqual([500, '395'])
    expect(await response.text()).toMatch(/^Code: 395\. /)
  })

  it('counts the whole result in the head', async () => {
    const response = await post('SELECT * FROM numbers(200000)', waiting)
    expect(JSON.parse(response.headers.get('x-clickhouse-summary') ?? '{}').read_rows).toBe('200000')
    expect((await response.text()).length).toBe(1_288_890)
    const empty = await post('SELECT 1 WHERE 0', waiting)
    expect([empty.status, await empty.text()]).toEqual([200, ''])
  })
})

describe('send_progress_in_http_headers', () => {
  const slow = (rows: string) =>
    `SELECT ${rows} FROM numbers(8) WHERE sleepEachRow(0.1) = 0 SETTINGS max_block_size = 1`
  const ask = async (statement: string) => {
    const asked = request(`${url}/?send_progress_in_http_headers=1`, { method: 'POST' }).end(statement)
    const [response]: IncomingMessage[] = await once(asked, 'response')
    const body = Buffer.concat((await response?.toArray()) ?? []).toString()
    const raw = response?.rawHeaders ?? []
    const progress = raw
      .filter((_, index) => raw[index - 1] === 'X-ClickHouse-Progress')
      .map((line) => JSON.parse(line))
    return { response, body, progress }
  }

  it('tells of a slow statement before its result, which comes whole', async () => {
    const { response, body, progress } = await ask(slow('count()'))
    // One each tenth of a second at most; how many more depends on how busy the machine is.
    expect(progress.length).toBeGreaterThan(1)
    const rows = progress.map(({ read_rows }) => Number(read_rows))
    expect(rows).toEqual(rows.toSorted((a, b) => a - b))
    expect([response?.statusCode, response?.headers['x-clickhouse-format'], body]).toEqual([200, 'TabSeparated', '8\n'])
  })

  it('an error after it still has its code in the head', async () => {
    const { response, body } = await ask(
      slow('throwIf(number = 5), count()').replace('WHERE', 'GROUP BY number HAVING'),
    )
    expect(response?.headers['x-clickhouse-exception-code']).toBe('395')
    expect(body).toMatch(/^Code: 395\. /)
  })

  it('a fast statement has one line, at its end', async () => {
    expect((await ask('SELECT 1')).progress.length).toBe(1)
  })
})

describe('an error in the middle of a result', () => {
  it('never looks like its end', async () => {
    const response = await post('SELECT number, throwIf(number = 3000000) FROM system.numbers')
    expect(response.status).toBe(200)
    await expect(response.text()).rejects.toThrow()
  })

  it.each([false, true])('@clickhouse/client sees its code, compressed: %s', async (response) => {
    const reader = createClient({
      url,
      compression: { response },
      log: { level: ClickHouseLogLevel.OFF },
    })
    const rows = await reader.query({
      query: 'SELECT number, throwIf(number = 300000) FROM system.numbers',
      format: 'JSONEachRow',
    })
    const all = async () => {
      for await (const _ of rows.stream());
    }
    await expect(all()).rejects.toMatchObject({ code: '395', type: 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO' })
    await reader.close()
  })
})

describe('compression', () => {
  it('compresses what a client accepts', async () => {
    for (const encoding of ['gzip', 'br', 'deflate', 'zstd']) {
      const response = await post(
        'SELECT * FROM numbers(200000)',
        { enable_http_compression: '1' },
        { 'Accept-Encoding': encoding },
      )
      expect(response.headers.get('content-encoding')).toBe(encoding)
      if (encoding !== 'zstd') expect((await response.text()).length).toBe(1_288_890)
      else await response.arrayBuffer()
    }
    const plain = await post('SELECT 1', { enable_http_compression: '0' }, { 'Accept-Encoding': 'gzip' })
    expect(plain.headers.get('content-encoding')).toBe(null)
    await plain.text()
  })

  it("speaks ClickHouse's own compression both ways, errors included", async () => {
    const blocks = (response: Response) => blocksDecompressed(Readable.fromWeb(response.body as ReadableStream))
    const plain = async (response: Response) =>
      Buffer.concat(await Readable.from(blocks(response)).toArray()).toString()
    await text('CREATE TABLE own (a Int64) ENGINE = MergeTree ORDER BY a')
    const rows = Buffer.concat([compressedBlock(Buffer.from('1\n2')), compressedBlock(Buffer.from('3\n4\n'))])
    expect(await text(rows, { query: 'INSERT INTO own FORMAT TSV', decompress: '1' })).toBe('')
    expect(await plain(await post('SELECT sum(a) FROM own', { compress: '1' }))).toBe('28\n')
    expect((await plain(await post('SELECT * FROM numbers(200000)', { compress: '1' }))).length).toBe(1_288_890)
    const refused = await post('SELECT nope', { compress: '1' })
    expect(refused.headers.get('x-clickhouse-exception-code')).toBe('47')
    expect(await plain(refused)).toMatch(/^Code: 47\. /)
    const damaged = await post('x'.repeat(30), { query: 'INSERT INTO own FORMAT TSV', decompress: '1' })
    expect(damaged.headers.get('x-clickhouse-exception-code')).toMatch(/^(12|40)$/)
    await damaged.text()
  })
})

it('a refused setting is told in the compression of results', async () => {
  const refused = await post('SELECT 1', { user: 'readonly', compress: '1', allow_ddl: '1' })
  const blocks = blocksDecompressed(Readable.from([Buffer.from(await refused.arrayBuffer())]))
  expect(Buffer.concat(await Readable.from(blocks).toArray()).toString()).toMatch(/^Code: 164\./)
})

describe('result_rows', () => {
  const counted = async (statement: string, parameters: Record<string, string> = {}) => {
    const response = await post(statement, parameters)
    await response.text()
    return JSON.parse(response.headers.get('x-clickhouse-summary') ?? '{}').result_rows
  }

  it('counts the rows of a result, however many were read for it', async () => {
    expect(await counted('SELECT count() FROM numbers(100000)')).toBe('1')
    expect(await counted('SELECT number FROM numbers(1000) WHERE number >= 995')).toBe('5')
    expect(await counted('SELECT 1 WHERE 0')).toBe('0')
    expect(await counted('SELECT number FROM numbers(300000)', { wait_end_of_query: '1' })).toBe('300000')
  })
})

describe('names of the files behind the port', () => {
  const folder = new RegExp(`${dataDir}|OUTFILE|INFILE|insert-\\d|fifo`)

  it('are in no error', async () => {
    await text('CREATE TABLE named (a Int8, b String) ENGINE = Memory')
    const rows = 'INSERT INTO named FORMAT CSV\nx,1\ny'
    const selected = "INSERT INTO named SELECT a, nope FROM input('a Int8, b String') FORMAT CSV\n1,x"
    for (const statement of [
      rows,
      selected,
      'INSERT INTO named FORMAT Parquet\nx',
      'SELECT nope FROM named FORMAT CSV',
    ]) {
      const answer = await text(statement)
      expect(answer).toMatch(/^Code: (27|47|117)\./)
      expect(answer).not.toMatch(folder)
    }
    expect(await text(selected)).toContain("FROM input('a Int8, b String')")
  })

  it('are not in SHOW PROCESSLIST, which has the ids and users of the port', async () => {
    const abort = new AbortController()
    const endless = fetch(`${url}/?user=readonly&query_id=endless`, {
      method: 'POST',
      body: 'SELECT count() FROM system.numbers FORMAT CSV',
      signal: abort.signal,
    }).catch(() => 'gone')
    let list: Record<string, string>[] = []
    while (!list.some(({ query_id }) => query_id === 'endless'))
      list = JSON.parse(await text('SHOW PROCESSLIST FORMAT JSON', { query_id: 'mine' })).data
    abort.abort()
    await endless
    expect(
      list.map(({ query_id, initial_query_id, user, query }) => [query_id, initial_query_id, user, query]).sort(),
    ).toEqual([
      ['endless', 'endless', 'readonly', 'SELECT count() FROM system.numbers FORMAT CSV'],
      ['mine', 'mine', 'default', 'SHOW PROCESSLIST'],
    ])
    expect(JSON.stringify(list)).not.toMatch(folder)
  })
})

describe('the URL', () => {
  it('may hold a statement of a megabyte', async () => {
    const long = 'x'.repeat(1024 * 1024 - 1_000)
    const query = `SELECT length('${long}')`
    const response = await fetch(`${url}/?${new URLSearchParams({ query, max_query_size: '0' })}`)
    expect(await response.text()).toBe(`${long.length}\n`)
  })

  it('keeps bytes that are not UTF-8 in statements and parameters', async () => {
    const response = await fetch(`${url}/?param_a=%FFx%00&query=SELECT+hex('%FE%C3%BC'),hex({a:String})`)
    expect(await response.text()).toBe('FEC3BC\tFF7800\n')
  })
})
