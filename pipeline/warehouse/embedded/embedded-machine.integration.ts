import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { judgedEngines, judgedFunctions } from './machine-names.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-machine-'))
const secretFile = join(folder, 'owner-key')
const secret = 'c2VjcmV0LW9mLXRoZS1vd25lcg=='
const users = { default: 'w', analyst: 'a', readonly: 'r' } as const
type User = keyof typeof users
let warehouse: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  writeFileSync(secretFile, secret)
  const loopback = {
    bind: '127.0.0.1',
    port: 0,
    password: 'w',
    analystPassword: 'a',
    readonlyPassword: 'r',
    logger: silentLogger,
  }
  warehouse = await startEmbeddedWarehouse({ dataDir: join(folder, 'warehouse'), ...loopback })
  url = `http://127.0.0.1:${warehouse.port}`
  expect((await ask('default', 'CREATE TABLE t (a Int64, b String) ENGINE = MergeTree ORDER BY a')).status).toBe(200)
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(folder, { recursive: true, force: true })
})

async function ask(user: User, body: string, parameters: Record<string, string> = {}) {
  const response = await fetch(`${url}/?${new URLSearchParams(parameters)}`, {
    method: 'POST',
    body,
    headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': users[user] },
  })
  return { status: response.status, text: await response.text() }
}

const text = (value: string) => `'${value.replace(/[\\']/g, '\\$&')}'`
const path = text(secretFile)
const never = text(join(folder, 'never'))
const backslash = '\\'

/** Ways to spell or hide a name, so that a reader other than the engine would miss it. */
const spellings: readonly string[] = [
  `SELECT file(${path})`,
  `SELECT \`file\`(${path})`,
  `SELECT "file"(${path})`,
  `SELECT \`fi${backslash}x6ce\`(${path})`,
  `SELECT "fi${backslash}x6ce"(${path})`,
  `SELECT \`${backslash}f${backslash}i${backslash}l${backslash}e\`(${path})`,
  `SELECT \`file${backslash}0\`(${path})`,
  `SELECT “file”(${path})`,
  `SELECT file\u00a0(${path})`,
  `SELECT file\u2003(${path})`,
  `SELECT file /* of the owner */ (${path})`,
  `SELECT file -- of the owner\n (${path})`,
  `SELECT file(/* ' */${path} /* ' */)`,
  `SELECT /* /* */ ' */ file(${path}) -- '`,
  `SELECT 1 // '\n, file(${path}) // '`,
  `SELECT ‘ ' ’, file(${path}) -- '`,
  `SELECT $${'x'.repeat(200)}$ ' $${'x'.repeat(200)}$, file(${path}) -- '`,
  `SELECT $$ ' $$, file(${path}) -- '`,
  `SELECT TOP 1$$ ' $$, file(${path}) -- '`,
  `SELECT TOP 1$$ ' $$, * FROM file(${path}, LineAsString) -- '`,
  `SELECT 1.$$ ' $$, * FROM file(${path}, LineAsString) -- '`,
  `SELECT 0x1$a$ ' $a$, * FROM file(${path}, LineAsString) -- '`,
  `SELECT a$$ ' $$, * FROM file(${path}, LineAsString) -- '`,
  `SELECT [1]$$ ' $$, * FROM file(${path}, LineAsString) -- '`,
  `SELECT 1 # ' \n, file(${path}) # '`,
  `SELECT 1 #! ' \n, file(${path}) #! '`,
  `SELECT 1 AS x FORMAT CSV; SELECT file(${path})`,
  `SELECT 1;\0SELECT file(${path})`,
  `SELECT x'${Buffer.from("' OR file(").toString('hex')}', file(${path})`,
  `DESCRIBE file(${path}, LineAsString)`,
  `EXPLAIN SELECT * FROM file(${path}, LineAsString)`,
  `EXISTS (SELECT * FROM file(${path}, LineAsString))`,
  `SELECT * FROM cluster('default', file(${path}, LineAsString))`,
  `SELECT * FROM viewIfPermitted(SELECT * FROM file(${path}, LineAsString) ELSE null('x String'))`,
  `SELECT arrayMap(file, [${path}])`,
  `SELECT arrayMap((file), [${path}])`,
  `SELECT arrayMap(file AS f, [${path}])`,
  `SELECT arrayMap(\`file\`, [${path}])`,
  `SELECT ${path} AS f, * APPLY file`,
  `SELECT ${path} AS f, COLUMNS('f') APPLY(x -> file(x))`,
  `WITH x -> file(x) AS f SELECT f(${path})`,
  `SELECT * FROM file(${path}, LineAsString)`,
  `SELECT * FROM \`fi${backslash}x6ce\`(${path}, LineAsString)`,
  `SELECT * FROM view(SELECT * FROM \`fi${backslash}x6ce\`(${path}, LineAsString))`,
  `SELECT * FROM "filesystem"(${text(folder)})`,
  `SELECT * FROM ${path}`,
  `SELECT * FROM default.\`${secretFile}\``,
  `SELECT * FROM url(${text(`file://${secretFile}`)}, LineAsString)`,
  `SELECT * FROM url('${backslash}x66ile://${secretFile}', LineAsString)`,
  `SELECT * FROM \`${backslash}x65xecutable\`('cat ${secretFile}', LineAsString, 'a String')`,
  `SELECT * FROM sqlite(${path}, 't')`,
  `SELECT * FROM {f:Identifier}(${path}, LineAsString)`,
  `SELECT * FROM loop(file(${path}, LineAsString)) LIMIT 1`,
  `SELECT * FROM merge('default', '.*') AS m, file(${path}, LineAsString)`,
]

/** Texts that the engine reads as SQL once it runs. */
const texts: readonly string[] = [
  `SELECT b FROM values(${text(`a String, b String ALIAS file(${path})`)}, ('x'))`,
  `SELECT b FROM format(CSV, ${text(`a String, b String ALIAS file(${path})`)}, 'x')`,
  `SELECT b FROM format(CSV, concat('a String, b String ALIAS fi', ${text(`le(${path})`)}), 'x')`,
  `SELECT * FROM format(JSONEachRow, ${text(`a String, b String DEFAULT file(${path})`)}, '{"a":"x"}')`,
  `SELECT * FROM format(Values, 'a String', ${text(`(file(${path}))`)})`,
  `SELECT * FROM format(Values, 'a String', ${text(`((SELECT * FROM file(${path}, LineAsString)))`)})`,
  `SELECT b FROM generateRandom(${text(`a String, b String ALIAS file(${path})`)}) LIMIT 1`,
  `SELECT * FROM eval(${text(`SELECT file(${path})`)}) SETTINGS allow_experimental_eval_table_function = 1`,
  `SELECT 1 SETTINGS additional_result_filter = ${text(`throwIf(1, file(${path}))`)}`,
  `SELECT throwIf(1, x) FROM format(Values, 'x String', ${text(`(file(${path}))`)})`,
  `SELECT 1 AS x FORMAT Template SETTINGS format_template_row = ${path}`,
  `SELECT * FROM format(CSV, ${text(`a String, b String ALIAS (SELECT * FROM file(${path}, LineAsString))`)}, 'x')`,
  `SELECT * FROM s3(${text(`file://${secretFile}`)}, LineAsString)`,
  `SELECT * FROM format(Values, 'a String', ${text(`((SELECT * FROM file(${path}, LineAsString)))`)}) SETTINGS input_format_values_interpret_expressions = 1`,
]

/** Statements of `default` that would write, or keep something that reads later. */
const changes: readonly string[] = [
  `INSERT INTO t VALUES (1, file(${path}))`,
  `INSERT INTO t SETTINGS input_format_values_interpret_expressions = 1 VALUES (1, (SELECT * FROM file(${path}, LineAsString)))`,
  'SET input_format_values_interpret_expressions = 1',
  'SET `input_format_values_deduce_templates_of_expressions` = 1',
  `INSERT INTO t VALUES (1, (SELECT * FROM file(${path}, LineAsString)))`,
  `INSERT INTO t SELECT 1, line FROM file(${path}, LineAsString, 'line String')`,
  `INSERT INTO t SELECT * FROM input('a Int64, b String') FORMAT Values\n(1, (SELECT * FROM file(${path}, LineAsString)))`,
  `INSERT INTO t (b) SELECT b FROM input(${text(`a String, b String DEFAULT file(${path})`)}) FORMAT JSONEachRow\n{"a":"x"}`,
  `INSERT INTO FUNCTION file(${never}, CSV, 'a Int8') VALUES (1)`,
  `INSERT INTO FUNCTION \`fi${backslash}x6ce\`(${never}, CSV, 'a Int8') SELECT 1`,
  `SELECT 1 INTO OUTFILE ${never}`,
  `SELECT x FROM (SELECT TOP 1$$ ' $$, 'any bytes' AS x) INTO OUTFILE ${never} FORMAT RawBLOB; SELECT 3 -- '`,
  `SELECT x FROM (SELECT TOP 1$$ ' $$, 'any bytes' AS x) INTO OUTFILE ${never} FORMAT RawBLOB -- '`,
  `SELECT 1 INTO OUTFILE ${never} TRUNCATE FORMAT RawBLOB`,
  `SHOW TABLES INTO OUTFILE ${never}`,
  `DESCRIBE t INTO OUTFILE ${never}`,
  `EXPLAIN SELECT 1 INTO OUTFILE ${never}`,
  `CREATE TABLE f0 (a Int8) ENGINE = Memory PARALLEL WITH INSERT INTO FUNCTION file(${never}) SELECT 1`,
  'SET ROLE default',
  'SET ROLE default_spool',
  'SET DEFAULT ROLE NONE TO default',
  'EXECUTE AS default SELECT 1',
  'GRANT READ ON FILE TO readonly',
  'CREATE ROLE r',
  `SELECT 1 INTO /* */ OUTFILE ${never}`,
  `INSERT INTO t FROM INFILE ${path} FORMAT LineAsString`,
  `CREATE TABLE f1 (a String) ENGINE = File(LineAsString, ${path})`,
  `CREATE TABLE f2 (a String) ENGINE File(LineAsString, ${path})`,
  `CREATE TABLE f3 (a String) ENGINE = \`F${backslash}x69le\`(LineAsString, ${path})`,
  `CREATE TABLE f4 (a String) ENGINE "File"(LineAsString, ${path})`,
  `CREATE TABLE f5 (a String) ENGINE = /* */ File(LineAsString, ${path})`,
  `CREATE TABLE f6 AS file(${path}, LineAsString)`,
  `CREATE TABLE f7 (a Int32) ENGINE EmbeddedRocksDB(0, ${never}) PRIMARY KEY a`,
  `CREATE TABLE f8 (a Int32) ENGINE = \`${backslash}x45mbeddedRocksDB\`(0, ${never}) PRIMARY KEY a`,
  `CREATE TABLE f9 (a String) ENGINE = FileLog(${text(folder)}, 'LineAsString')`,
  `CREATE TABLE f10 (a String) ENGINE = Executable('cat', LineAsString)`,
  `CREATE TABLE f11 (a String) ENGINE = URL(${text(`file://${secretFile}`)}, LineAsString)`,
  `CREATE TABLE f12 (a String) ENGINE = SQLite(${never}, 't')`,
  `CREATE TABLE f13 (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = object_storage, object_storage_type = local_blob_storage, metadata_type = plain, path = ${never})`,
  `CREATE TABLE f14 (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = \`d${backslash}x69sk\`(type = object_storage, object_storage_type = local_blob_storage, metadata_type = plain, path = ${never})`,
  `CREATE MATERIALIZED VIEW f15 ENGINE = File(CSV, ${never}) AS SELECT * FROM t`,
  `CREATE VIEW f16 AS SELECT file(${path})`,
  `CREATE TABLE f17 (a String, b String DEFAULT file(${path})) ENGINE = Memory`,
  `CREATE FUNCTION f18 AS x -> file(x)`,
  'CREATE OR REPLACE FUNCTION file AS x -> x',
  'DROP FUNCTION file',
  `CREATE DATABASE d1 ENGINE = Filesystem(${text(folder)})`,
  'CREATE DATABASE d2 ENGINE Filesystem',
  'CREATE DATABASE d3 ENGINE "Filesystem"',
  `CREATE DATABASE d4 ENGINE = SQLite(${never})`,
  `CREATE DATABASE d5 ENGINE = Backup('t', File(${never}))`,
  `CREATE DICTIONARY e1 (a String) PRIMARY KEY a SOURCE(FILE(path ${path} format 'LineAsString')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)`,
  `CREATE DICTIONARY e2 (a String) PRIMARY KEY a SOURCE(EXECUTABLE(command 'cat ${secretFile}' format 'LineAsString')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)`,
  `CREATE DICTIONARY e3 (a String) PRIMARY KEY a SOURCE(\`E${backslash}x58ECUTABLE\`(command 'cat ${secretFile}' format 'LineAsString')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)`,
  `CREATE DICTIONARY e4 (a UInt64, b String) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY ${text(`SELECT 1 AS a, file(${path}) AS b`)})) LAYOUT(FLAT()) LIFETIME(0)`,
  `ATTACH TABLE g1 FROM ${text(folder)} (a String) ENGINE = MergeTree ORDER BY a`,
  `BACKUP TABLE t TO File(${never})`,
  `BACKUP TABLE t TO Disk('default', 'never')`,
  `RESTORE TABLE t FROM File(${never})`,
  `SET dialect = 'kusto'`,
  `SET format_template_row = ${path}`,
  `SET format_schema = ${path}`,
  `SET input_format_record_errors_file_path = ${never}`,
  'CREATE USER u',
  'CREATE NAMED COLLECTION c AS url = 1',
]

describe('nobody reaches the files or programs of the machine', () => {
  it.each([...spellings, ...texts, ...changes])('%s', async (statement) => {
    for (const user of Object.keys(users) as User[]) {
      const { status, text } = await ask(user, statement)
      expect(text).not.toContain(secret)
      expect(status, `${user}: ${text}`).not.toBe(200)
    }
    expect(readdirSync(folder).sort()).toEqual(['owner-key', 'warehouse'])
    expect((await ask('default', 'SELECT count() FROM t')).text).toBe('0\n')
  })

  it.each([
    { dialect: 'kusto', allow_experimental_kusto_dialect: '1' },
    { format_template_row: secretFile, default_format: 'Template' },
    { format_schema: secretFile, default_format: 'Protobuf' },
    { allow_experimental_eval_table_function: '1' },
    { input_format_values_interpret_expressions: '1' },
    { additional_result_filter: "throwIf(1, 'x')" },
  ])('nor by a setting of the URL: %j', async (parameters) => {
    for (const user of Object.keys(users) as User[]) {
      const { status, text } = await ask(user, 'SELECT 1 AS x', parameters as unknown as Record<string, string>)
      expect([status === 200, text.includes(secret)]).toEqual([false, false])
    }
  })
})

describe('what does not touch the machine goes on', () => {
  it.each([
    ['SELECT \'a\', "b" FROM (SELECT 1 AS b)', 'a\t1\n'],
    ["SELECT $$it's$$ -- a 'comment'", "it\\'s\n"],
    ['SELECT sum(number) FROM numbers(3)', '3\n'],
    ["SELECT * FROM values('a Int8', 1)", '1\n'],
    ["SELECT count() FROM merge('default', '^t$')", '0\n'],
    ['SELECT count() FROM (SELECT 1 AS file) WHERE file = 1', '1\n'],
    ["SELECT engine FROM system.tables WHERE engine = 'MergeTree' AND database = 'default'", 'MergeTree\n'],
    ['SELECT count() FROM {t:Identifier}', '0\n'],
  ])('%s', async (statement, expected) => {
    for (const user of Object.keys(users) as User[])
      expect(await ask(user, statement, { param_t: 't' })).toEqual({ status: 200, text: expected })
  })

  it('`default` makes tables, views, functions, and inserts expressions', async () => {
    for (const statement of [
      'CREATE DATABASE own',
      'CREATE TABLE own.a (a Int64, b String DEFAULT upper(toString(a))) ENGINE ReplacingMergeTree ORDER BY a',
      'CREATE TABLE own.sums (a Int64) ENGINE = SummingMergeTree ORDER BY tuple()',
      'CREATE MATERIALIZED VIEW own.v TO own.sums AS SELECT a FROM own.a',
      'CREATE VIEW own.w AS SELECT engine, name FROM system.tables',
      'CREATE FUNCTION twice AS x -> x * 2',
      'INSERT INTO own.a (a) VALUES (1 + 1)',
      "INSERT INTO own.a (a, b) VALUES (6, 'file(x) ß \\n'), (7, DEFAULT)",
      "INSERT INTO own.a (a, b) SELECT twice(a), b FROM input('a Int64, b String') FORMAT CSV\n4,x\n",
      'OPTIMIZE TABLE own.sums FINAL',
    ])
      expect(await ask('default', statement)).toEqual({ status: 200, text: '' })
    expect((await ask('default', 'SELECT a, b FROM own.a ORDER BY a')).text).toBe(
      '2\t2\n6\tfile(x) ß \\n\n7\t7\n8\tx\n',
    )
    expect((await ask('default', 'SELECT sum(a) FROM own.sums')).text).toBe('23\n')
    expect((await ask('default', 'DROP DATABASE own')).status).toBe(200)
  })
})

it.each([
  ['table_functions', judgedFunctions],
  ['table_engines', judgedEngines],
  ['database_engines', judgedEngines],
] as const)('every name of system.%s is judged: it is open, or refused', async (table, judged) => {
  const names = (await ask('default', `SELECT name FROM system.${table} ORDER BY name`)).text.trim().split('\n')
  expect(names.length).toBeGreaterThan(5)
  expect(names.filter((name) => !judged.has(name.toLowerCase()))).toEqual([])
})
