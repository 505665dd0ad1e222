import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-forms-'))
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

/** POSTs a form; a value that is a Blob becomes a file. */
async function send(parameters: Record<string, string>, parts: Record<string, string | Blob>): Promise<string> {
  const body = new FormData()
  for (const [name, value] of Object.entries(parts)) {
    if (typeof value === 'string') body.append(name, value)
    else body.append(name, value, `${name}.csv`)
  }
  return (await fetch(`${url}/?${new URLSearchParams(parameters)}`, { method: 'POST', body })).text()
}

const rows = { people: new Blob(['1,"ann"\n2,"bob"\n']) }
const told = { people_format: 'CSV', people_structure: 'id UInt8, name String' }
const query = 'SELECT * FROM people ORDER BY id'

describe('a form', () => {
  it.each(['default', 'analyst', 'readonly'])('brings tables for one statement of %s', async (user) => {
    expect(await send({ user, query, ...told }, rows)).toBe('1\tann\n2\tbob\n')
    expect(await send({ user, query }, {})).toMatch(/^Code: 60\./)
    expect(await send({ user }, { ...rows, ...told, query: 'SELECT count() FROM people' })).toBe('2\n')
  })

  it('tells the columns of a table by their types, and its format is TabSeparated', async () => {
    const types = { query: 'SELECT _2, _1 FROM a', a_types: 'Int8,String' }
    expect(await send(types, { a: new Blob(['1\tx\n']) })).toBe('x\t1\n')
  })

  it('reads rows under the settings and in the database of its statement', async () => {
    const dates = {
      query: 'SELECT toYear(at) FROM a',
      a_structure: 'at DateTime',
      date_time_input_format: 'best_effort',
    }
    expect(await send({ ...dates, database: 'system' }, { a: new Blob(['2 Jan 2024 10:00\n']) })).toBe('2024\n')
  })

  it('leaves nothing in a session, and takes nothing from it', async () => {
    const session = { session_id: 'forms' }
    for (let turn = 0; turn < 2; turn += 1) expect(await send({ ...session, query, ...told }, rows)).toContain('ann')
    expect(await send({ ...session, query }, {})).toMatch(/^Code: 60\./)
    await send({ ...session, query: "CREATE TEMPORARY TABLE people AS SELECT 7 AS id, 'own' AS name" }, {})
    expect(await send({ ...session, query, ...told }, rows)).toMatch(/^Code: 57\./)
    expect(await send({ ...session, query }, {})).toBe('7\town\n')
  })

  it('carries statement, settings and parameters of any length, but not who asks', async () => {
    const long = 'x'.repeat(1_000_000)
    const fields = {
      query: "SELECT length({a:String}), getSetting('max_threads'), currentUser()",
      param_a: long,
      max_threads: '1',
    }
    expect(await send({}, { ...fields, user: 'readonly', password: 'wrong' })).toBe('1000000\t1\tdefault\n')
    expect(await send({ user: 'readonly' }, { query: 'SELECT 1', allow_ddl: '1' })).toMatch(/^Code: 164\./)
  })

  it.each([
    'a String) ORDER BY (a',
    'a String) ENGINE = Log; -- ',
    'a String) ENGINE = Log; SELECT (1',
    'a String) ENGINE = Memory ORDER BY (a',
    'a String DEFAULT currentUser()',
    'a String, b String ALIAS hostName()',
    "a String, CONSTRAINT c CHECK a != ''",
    'a String, INDEX i a TYPE set(1)',
  ])('columns and types are all that the structure of a table has: %s', async (structure) => {
    for (const user of ['default', 'readonly']) {
      const answer = await send({ user, query: 'SELECT * FROM a', a_structure: structure }, { a: new Blob(['x\n']) })
      expect(answer).toMatch(/^Code: (36|62)\..*(more than columns and types|Syntax error)/)
    }
    const named = { query: 'SELECT * FROM a', a_structure: '`DEFAULT` Tuple(`index` String, alias Int8)' }
    expect(await send(named, { a: new Blob(["('x',1)\n"]) })).toBe("('x',1)\n")
  })

  it.each([
    'a String) ENGINE = Memory AS SELECT (1',
    "a String) AS SELECT * FROM file('/etc/hostname', LineAsString) -- ",
    "a String) ENGINE = File(CSV, '/etc/hostname'",
    "a String DEFAULT file('/etc/hostname')",
    'a String) ENGINE = Null /*',
    'a String), PRIMARY KEY (a',
    'a',
    '',
    ')',
  ])('what is no structure is refused: %s', async (structure) => {
    for (const user of ['default', 'readonly'])
      expect(await send({ user, query: 'SELECT * FROM a', a_structure: structure }, { a: new Blob(['x\n']) })).toMatch(
        /^Code: (36|62|291)\./,
      )
  })

  it.each(['', 'x`; DROP TABLE y', "x'", '../x'])('a table may have any name but none: %j', async (name) => {
    const parts = { [name]: new Blob(['x\n']), [`${name}_structure`]: 'a String' }
    const answer = await send({ query: 'SELECT 1' }, parts)
    expect(answer).toMatch(name === '' ? /^Code: \d+\./ : /^1\n$/)
  })

  it('has bounds', async () => {
    expect(await send({ query }, rows)).toMatch(/^Code: 36\..*people_structure/)
    expect(await send({ query, ...told, people_format: 'CSV; x' }, rows)).toMatch(/^Code: 73\./)
    expect(await send({}, { query: 'SELECT 1', param_a: 'x'.repeat(4 * 1024 * 1024) })).toMatch(/^Code: 307\./)
    expect(await send({ query, ...told }, { people: new Blob(['1,"x"\n'.repeat(12 * 1024 * 1024)]) })).toMatch(
      /^Code: 307\./,
    )
    const cut = await fetch(`${url}/`, {
      method: 'POST',
      headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
      body: '--b\r\nContent-Disposition: form-data; name="query"\r\n\r\nSELECT 1',
    })
    expect(await cut.text()).toMatch(/^Code: 33\./)
  })

  it('gives its files back', () => {
    const files = readdirSync(join(dataDir, 'spool')).filter((name) => name.startsWith('insert-'))
    expect(files.length).toBeGreaterThan(0)
    for (const name of files) expect(statSync(join(dataDir, 'spool', name)).size).toBe(0)
  })
})
