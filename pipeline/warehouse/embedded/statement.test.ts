import { describe, expect, it } from 'vitest'
import { RequestBody } from './request-body.ts'
import { type Statement, statementOf } from './statement.ts'

const whole = (text: string): Statement => {
  const statement = statementOf(Buffer.from(text), true)
  if (!statement) throw new Error('undecided')
  return statement
}

describe('an INSERT with rows behind it', () => {
  it.each([
    ['INSERT INTO t FORMAT CSV\n1,2\n', '1,2\n', "INSERT INTO t  FROM INFILE 'F' COMPRESSION 'none'  FORMAT CSV"],
    ['INSERT INTO t FORMAT CSV 1,2\n', '1,2\n', "INSERT INTO t  FROM INFILE 'F' COMPRESSION 'none'  FORMAT CSV"],
    [
      "INSERT INTO t FORMAT Values (78,'v')",
      "(78,'v')",
      "INSERT INTO t  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values",
    ],
    ['INSERT INTO format VALUES (1)', ' (1)', "INSERT INTO format  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values"],
    [
      'INSERT INTO db.format VALUES (1)',
      ' (1)',
      "INSERT INTO db.format  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values",
    ],
    ['insert into t(a) values (1)', ' (1)', "insert into t(a)  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values"],
    [
      'INSERT INTO format FORMAT TSV\n\n \nx',
      '\n \nx',
      "INSERT INTO format  FROM INFILE 'F' COMPRESSION 'none'  FORMAT TSV",
    ],
    [
      'INSERT INTO `values` VALUES(1)',
      '(1)',
      "INSERT INTO `values`  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values",
    ],
    [
      "INSERT INTO t (a) SETTINGS x = 'FORMAT' FORMAT CSV\n1",
      '1',
      "INSERT INTO t (a)  FROM INFILE 'F' COMPRESSION 'none' SETTINGS x = 'FORMAT'  FORMAT CSV",
    ],
    [
      "INSERT INTO t SELECT *, 1 FROM input('a Int8, b Array(String)') WHERE a > (2) FORMAT Avro\nObj",
      'Obj',
      "INSERT INTO t SELECT *, 1 FROM file('F', Avro, 'a Int8, b Array(String)', 'none') WHERE a > (2) ",
    ],
    [
      'INSERT INTO t /* FORMAT X */ -- VALUES\n FORMAT CSV\n1',
      '1',
      "INSERT INTO t /* FORMAT X */ -- VALUES\n  FROM INFILE 'F' COMPRESSION 'none'  FORMAT CSV",
    ],
    [
      'INSERT INTO format.format FORMAT TSV\n1',
      '1',
      "INSERT INTO format.format  FROM INFILE 'F' COMPRESSION 'none'  FORMAT TSV",
    ],
    [
      'INSERT INTO db.values VALUES (1)',
      ' (1)',
      "INSERT INTO db.values  FROM INFILE 'F' COMPRESSION 'none'  FORMAT Values",
    ],
  ])('%j has rows %j', (text, rows, rewritten) => {
    const statement = whole(text)
    if (statement.kind !== 'insert') throw new Error(statement.kind)
    expect(Buffer.from(text).subarray(statement.dataAt).toString()).toBe(rows)
    expect(statement.textFor('F')).toBe(rewritten)
  })

  it('is never decided before the byte at which rows begin is known', () => {
    const text = "INSERT INTO t (a, `b(`) SELECT * FROM input('a String') FORMAT JSONEachRow\n\n{}"
    const decided = whole(text)
    for (let length = 0; length < text.length; length += 1) {
      const early = statementOf(Buffer.from(text.slice(0, length)), false)
      if (early !== undefined) expect(early).toMatchObject({ dataAt: decided.kind === 'insert' ? decided.dataAt : -1 })
    }
  })

  it('keeps text that is not ASCII as it is', () => {
    const statement = whole("INSERT INTO `größe` SELECT 'ß' FROM input('a String') FORMAT CSV\nß")
    if (statement.kind !== 'insert') throw new Error(statement.kind)
    expect(statement.textFor('F')).toBe("INSERT INTO `größe` SELECT 'ß' FROM file('F', CSV, 'a String', 'none') ")
  })
})

describe('a statement with a result', () => {
  it.each([
    ['SELECT 1', 'SELECT 1', '', undefined],
    ['SELECT 1 FORMAT JSON', 'SELECT 1 ', 'FORMAT JSON', 'JSON'],
    ['SELECT 1 FORMAT JSON SETTINGS a = 1;', 'SELECT 1 ', 'FORMAT JSON SETTINGS a = 1', 'JSON'],
    ['SELECT format FROM t', 'SELECT format FROM t', '', undefined],
    ["SELECT 'FORMAT CSV' -- FORMAT TSV", "SELECT 'FORMAT CSV'", '', undefined],
    ['SELECT (SELECT 1 AS format CSV)', 'SELECT (SELECT 1 AS format CSV)', '', undefined],
    ["SELECT $$it's; FORMAT$$, ';' /* ; */", "SELECT $$it's; FORMAT$$, ';'", '', undefined],
  ])('%j', (text, before, tail, format) => {
    expect(whole(text)).toMatchObject({ kind: 'read', text: before, tail, format })
  })
})

it.each([
  ['WITH 1 AS a INSERT INTO t SELECT a', 'command'],
  ['with x as (select 1) insert into t select * from x', 'command'],
  ['WITH insert AS (SELECT 1) SELECT * FROM insert', 'read'],
  ['WITH 1 AS a, insert AS (SELECT 1) SELECT insert FROM t', 'read'],
  ['WITH 1 AS insert SELECT insert', 'read'],
  ['WITH (SELECT 1) AS a SELECT a', 'read'],
])('%j is a %s', (text, kind) => {
  expect(whole(text).kind).toBe(kind)
})

it('a long statement in one-byte chunks is read in linear time and whole', async () => {
  const text = `SELECT ${'1+'.repeat(50_000)}1`
  async function* bytes() {
    for (const character of text) yield Buffer.from(character)
  }
  const request = Object.assign(bytes(), { headers: {} })
  const statement = await new RequestBody(request as never, '', false).statement()
  expect(statement).toMatchObject({ kind: 'read', text })
})
