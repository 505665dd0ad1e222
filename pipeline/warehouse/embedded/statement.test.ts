import { describe, expect, it } from 'vitest'
import { RequestBody, statementBytesMax, statementBytesPreset } from './request-body.ts'
import { statementFrom } from './statement.ts'
import { statementTextOf } from './statement-text.ts'

const whole = (text: string) => {
  const statement = statementTextOf(Buffer.from(text), true)
  if (!statement) throw new Error('undecided')
  return statement
}
const insertOf = (canonical: string) => {
  const statement = statementFrom(canonical, true)
  if (statement.kind !== 'insert') throw new Error(statement.kind)
  return statement
}

describe('where the rows behind an INSERT begin', () => {
  it.each([
    ['INSERT INTO t FORMAT CSV\n1,2\n', 'INSERT INTO t FORMAT CSV', '1,2\n'],
    ['INSERT INTO t FORMAT CSV 1,2\n', 'INSERT INTO t FORMAT CSV', '1,2\n'],
    ["INSERT INTO t FORMAT Values (78,'v')", 'INSERT INTO t FORMAT Values', "(78,'v')"],
    ['INSERT INTO format VALUES (1)', 'INSERT INTO format VALUES', ' (1)'],
    ['INSERT INTO db.format VALUES (1)', 'INSERT INTO db.format VALUES', ' (1)'],
    ['insert into t(a) values (1)', 'insert into t(a) values', ' (1)'],
    ['INSERT INTO format FORMAT TSV\n\n \nx', 'INSERT INTO format FORMAT TSV', '\n \nx'],
    ['INSERT INTO `values` VALUES(1)', 'INSERT INTO `values` VALUES', '(1)'],
    [
      "INSERT INTO t (a) SETTINGS x = 'FORMAT' FORMAT CSV\n1",
      "INSERT INTO t (a) SETTINGS x = 'FORMAT' FORMAT CSV",
      '1',
    ],
    [
      "INSERT INTO t SELECT *, 1 FROM input('a Int8, b Array(String)') WHERE a > (2) FORMAT Avro\nObj",
      "INSERT INTO t SELECT *, 1 FROM input('a Int8, b Array(String)') WHERE a > (2) FORMAT Avro",
      'Obj',
    ],
    [
      'INSERT INTO t /* FORMAT X */ -- VALUES\n FORMAT CSV\n1',
      'INSERT INTO t /* FORMAT X */ -- VALUES\n FORMAT CSV',
      '1',
    ],
    ['INSERT INTO t /* /* VALUES */ VALUES */ VALUES (1)', 'INSERT INTO t /* /* VALUES */ VALUES */ VALUES', ' (1)'],
    ['INSERT INTO format.format FORMAT TSV\n1', 'INSERT INTO format.format FORMAT TSV', '1'],
    ['INSERT INTO db.values VALUES (1)', 'INSERT INTO db.values VALUES', ' (1)'],
    [
      "INSERT INTO `größe` SELECT 'ß' FROM input('a String') FORMAT CSV\nß",
      "INSERT INTO `größe` SELECT 'ß' FROM input('a String') FORMAT CSV",
      'ß',
    ],
  ])('%j', (given, text, rows) => {
    const found = whole(given)
    expect(found.text.toString()).toBe(text)
    expect(Buffer.from(given).subarray(found.rowsAt).toString()).toBe(rows)
  })

  it.each([
    'INSERT INTO t SELECT 1',
    'INSERT INTO t SELECT format FROM f',
    "INSERT INTO t SELECT * FROM input('a Int8')",
    'INSERT INTO t SELECT \'VALUES\', "VALUES" FROM f -- VALUES',
    'SELECT 1 FORMAT CSV',
    'WITH 1 AS insert SELECT insert FORMAT CSV',
  ])('%j has none', (given) => {
    expect(whole(given)).toEqual({ text: Buffer.from(given), rowsAt: undefined })
  })

  it('is never decided before the byte at which rows begin is known', () => {
    const text = "INSERT INTO t (a, `b(`) SELECT * FROM input('a String') FORMAT JSONEachRow\n\n{}"
    const { rowsAt } = whole(text)
    for (let length = 0; length < text.length; length += 1) {
      const early = statementTextOf(Buffer.from(text.slice(0, length)), false)
      if (early !== undefined) expect(early.rowsAt).toBe(rowsAt)
    }
  })
})

describe('a statement that the engine has written', () => {
  it.each([
    ['INSERT INTO t FORMAT CSV', "INSERT INTO t FROM INFILE 'F' COMPRESSION 'none' FORMAT CSV"],
    ['INSERT INTO format FORMAT Values', "INSERT INTO format FROM INFILE 'F' COMPRESSION 'none' FORMAT Values"],
    [
      "INSERT INTO t (a) SETTINGS x = 'FORMAT' FORMAT CSV",
      "INSERT INTO t (a) FROM INFILE 'F' COMPRESSION 'none' SETTINGS x = 'FORMAT' FORMAT CSV",
    ],
    [
      "INSERT INTO t SELECT *, 1 FROM input('a Int8, b Array(String)') WHERE a > 2 FORMAT Avro",
      "INSERT INTO t SELECT *, 1 FROM file('F', Avro, 'a Int8, b Array(String)', 'none') WHERE a > 2 ",
    ],
  ])('%j reads its rows from a file', (canonical, rewritten) => {
    expect(insertOf(canonical).textFor('F')).toBe(rewritten)
  })

  it.each([
    'SELECT 1 FORMAT CSV',
    'INSERT INTO t SELECT 1 FORMAT CSV',
    "INSERT INTO t SELECT * FROM input(concat('a', ' Int8')) FORMAT CSV",
    'INSERT INTO t FORMAT `CSV;`',
  ])('%j takes no rows', (canonical) => {
    expect(() => statementFrom(canonical, true)).toThrow(/Syntax error|Unknown format/)
  })

  it.each([
    ['SELECT 1', 'SELECT 1', '', undefined],
    ['SELECT 1 FORMAT JSON', 'SELECT 1 ', 'FORMAT JSON', 'JSON'],
    ['SELECT 1 FORMAT JSON SETTINGS a = 1', 'SELECT 1 ', 'FORMAT JSON SETTINGS a = 1', 'JSON'],
    ['SELECT format FROM t', 'SELECT format FROM t', '', undefined],
    ["SELECT 'FORMAT CSV'", "SELECT 'FORMAT CSV'", '', undefined],
    ['SELECT (SELECT 1 AS format FORMAT CSV)', 'SELECT (SELECT 1 AS format FORMAT CSV)', '', undefined],
  ])('%j has a result', (canonical, text, tail, format) => {
    expect(statementFrom(canonical, false)).toMatchObject({ kind: 'read', text, tail, format })
  })

  it('names the ids of statements as the engine keeps them where one is to be ended', () => {
    const { text } = statementFrom("KILL QUERY WHERE query_id = 'query_id' OR query_id = 'b' ASYNC", false) as {
      text: string
    }
    expect(text).toBe("KILL QUERY WHERE Settings['log_comment'] = 'query_id' OR Settings['log_comment'] = 'b' ASYNC")
  })

  it.each([
    'SELECT 1 -- 2',
    'SELECT 1 /* 2 */',
    'SELECT 1 // 2',
    'SELECT 1 # 2',
    'SELECT "a"',
    'SELECT $$a$$',
    "SELECT 1$$ ' $$, 2",
    "SELECT x'41'",
    "SELECT 'a'b",
    "SELECT 'a",
    'SELECT `a',
    'SELECT 1; SELECT 2',
    'SELECT größe',
    'SELECT 1\n',
    'SELECT “a”',
    'SELECT a\\b',
  ])('%j is not its writing', (text) => {
    expect(() => statementFrom(text, false)).toThrow('Syntax error')
  })
})

const read = (chunks: Iterable<Buffer>, query: object): Promise<{ text: Buffer }> => {
  const request = Object.assign(
    (async function* () {
      yield* chunks
    })(),
    { headers: {} },
  )
  return new RequestBody(
    request as never,
    { query: Buffer.alloc(0), settings: new Map(), ...query } as never,
  ).statement()
}

it('a long statement in one-byte chunks is read in linear time and whole', async () => {
  const text = `SELECT ${'1+'.repeat(50_000)}1`
  const found = await read(
    [...text].map((character) => Buffer.from(character)),
    {},
  )
  expect(found.text.toString()).toBe(text)
})

it('comments within comments, and quotes without end, take linear time', async () => {
  for (const text of ['/* '.repeat(80_000), `INSERT ${"' ".repeat(80_000)}`, `INSERT ${'/*/* */ '.repeat(30_000)}`])
    expect((await read([Buffer.from(text)], {}).catch((error) => error.number)) ?? 0).toSatisfy(
      (found: unknown) => found === 62 || typeof found === 'object',
    )
})

describe('a statement has a length', () => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  async function* endless() {
    for (;;) yield chunk
  }
  it.each([
    [{}, statementBytesPreset],
    [{ settings: new Map([['max_query_size', '1000']]) }, 1_000],
    [{ settings: new Map([['max_query_size', '0']]) }, statementBytesMax],
    [{ settings: new Map([['max_query_size', '999999999999']]) }, statementBytesMax],
  ])('with %j', async (query, bytesMax) => {
    const request = Object.assign(endless(), { headers: {} })
    const body = new RequestBody(request as never, { query: Buffer.alloc(0), settings: new Map(), ...query } as never)
    await expect(body.statement()).rejects.toMatchObject({
      number: 62,
      message: expect.stringContaining(`${bytesMax} bytes`),
    })
  })

  it('which the rows behind it do not count to', async () => {
    const rows = Buffer.alloc(statementBytesMax * 2, '(1)')
    expect((await read([Buffer.from('INSERT INTO t VALUES '), rows], {})).text.toString()).toBe('INSERT INTO t VALUES')
  })
})
