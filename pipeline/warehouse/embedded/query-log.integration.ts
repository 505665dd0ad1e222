import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

describe('the log of queries of the embedded engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-query-log-'))
  const options = {
    ...{ dataDir: folder, bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '', logger: silentLogger },
    queryLogDays: 7,
  }
  let warehouse: EmbeddedWarehouse

  beforeAll(async () => {
    warehouse = await startEmbeddedWarehouse(options)
  })

  afterAll(async () => {
    await warehouse.close()
    rmSync(folder, { recursive: true })
  })

  const ask = async (statement: string, user = 'default', agent = 'test/1') => {
    const url = `http://127.0.0.1:${warehouse.port}/?user=${user}&query_id=${encodeURIComponent(statement.slice(0, 60))}`
    const answer = await fetch(url, { method: 'POST', body: statement, headers: { 'User-Agent': agent } })
    return answer.text()
  }
  const logged = async (condition: string): Promise<Record<string, unknown>[]> =>
    (
      await ask(
        `SELECT * FROM penstock.queries WHERE ${condition} ORDER BY at FORMAT JSONEachRow`,
        'default',
        'penstock-test',
      )
    )
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))

  test('has who asked what and when, what came of it, and what it took', async () => {
    await ask('SELECT number FROM numbers(10)', 'readonly')
    await ask("SELECT no_such_column, 'naïve \\'text\\''", 'readonly')
    await ask('CREATE TABLE default.t (a UInt8) ENGINE = MergeTree ORDER BY a')
    await ask('INSERT INTO default.t VALUES (1), (2), (3)')
    await ask('SELECT sum(sleepEachRow(0.05)) FROM numbers(40) SETTINGS max_block_size = 1')
    // What Penstock asks is not a client's.
    await ask('SELECT 4711', 'default', 'penstock clickhouse-js')
    await expect.poll(() => logged("query LIKE '%sleepEachRow%'")).toHaveLength(1)
    expect(await logged("user = 'readonly'")).toMatchObject([
      {
        ...{ query: 'SELECT number FROM numbers(10)', client: '127.0.0.1', application: 'test/1', code: 0, error: '' },
        result_rows: 10,
      },
      {
        query: "SELECT no_such_column, 'naïve \\'text\\''",
        code: 47,
        error: expect.stringContaining('no_such_column'),
      },
    ])
    const [inserted] = await logged("query LIKE 'INSERT%'")
    expect(inserted).toMatchObject({ user: 'default', written_rows: 3, result_rows: 0 })
    const [long] = await logged("query LIKE '%sleepEachRow%'")
    expect(long?.seconds).toBeGreaterThan(1.5)
    expect(Number(long?.read_rows)).toBeGreaterThan(0)
    expect(Number(long?.memory)).toBeGreaterThan(0)
    expect(await logged("query LIKE '%4711%'")).toEqual([])
  })

  test('nobody keeps a statement out of it', async () => {
    await ask('SELECT 4712', 'readonly', 'penstock clickhouse-js')
    // Half of a pair of UTF-16 stands where the text is cut off.
    await ask(`SELECT '${'x'.repeat(limits.queryLogTextMax - 9)}🦆'`)
    await expect.poll(() => logged("query LIKE 'SELECT 4712'")).toHaveLength(1)
    expect(await logged("query LIKE 'SELECT \\'xxx%'")).toMatchObject([{ code: 0 }])
  })

  test('only operators read it', async () => {
    for (const user of ['readonly', 'analyst'])
      expect(await ask('SELECT count() FROM penstock.queries', user)).toContain('ACCESS_DENIED')
  })

  test('what waits is stored when the engine ends, and is there at the next start', async () => {
    await ask('SELECT 815')
    await warehouse.close()
    warehouse = await startEmbeddedWarehouse(options)
    expect(await logged("query = 'SELECT 815'")).toHaveLength(1)
  })
})
