/**
 * The judge against the engine. The statements are built from constructs that hide one thing in another. One file may not be read, and one
 * may not be written. However the two read a statement, the secret never comes out and the file is never created.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const count = Number(process.env.FUZZ_COUNT ?? 3_000)
const folder = mkdtempSync(join(tmpdir(), 'penstock-judge-'))
const secret = 'c2VjcmV0LW9mLXRoZS1vd25lcg'
const secretFile = join(folder, 'secret')
const never = join(folder, 'never')
let warehouse: EmbeddedWarehouse

beforeAll(async () => {
  writeFileSync(secretFile, `${secret}\n`)
  const loopback = { bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '', logger: silentLogger }
  warehouse = await startEmbeddedWarehouse({ dataDir: join(folder, 'warehouse'), ...loopback })
})

afterAll(async () => {
  await warehouse?.close()
  rmSync(folder, { recursive: true, force: true })
})

let state = seed
function random(below: number): number {
  state = (state * 1_103_515_245 + 12_345) % 2 ** 31
  return Math.floor((state / 2 ** 31) * below)
}
const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T

/** Constructs that make a reader lose its place. */
const hiding = [
  ...[
    "'",
    '"',
    '`',
    "''",
    "\\'",
    '\\',
    '$$',
    '$a$',
    "$$ ' $$",
    '‘',
    '’',
    '“',
    '”',
    '\0',
    '\u00a0',
    '\u2003',
    '\ufeff',
    'ß',
  ],
  ...[
    '--',
    '-- ',
    '/*',
    '*/',
    '/* */',
    '/*/* */',
    '//',
    '#',
    '# ',
    '#!',
    '\n',
    '\r',
    '\t',
    ' ',
    ';',
    '; ',
    '\\x27',
    '\\0',
  ],
  ...[
    '1',
    '0x',
    '1e',
    '1.',
    '1$$',
    '.',
    'x',
    "x'27'",
    "b'1'",
    "N'",
    'a$',
    '@@',
    '{a:Identifier}',
    "{'a':1}",
    '::',
    '->',
    '?',
  ],
]
/** Statements that would read or write a file without the judge. Each is changed in a few places. */
const reaching = [
  `SELECT file('${secretFile}')`,
  `SELECT * FROM file('${secretFile}', LineAsString)`,
  `SELECT 1 AS x, * FROM file('${secretFile}', LineAsString) LIMIT 1`,
  `SELECT TOP 1$$ ' $$, * FROM file('${secretFile}', LineAsString) -- '`,
  `WITH y AS (SELECT * FROM file('${secretFile}', LineAsString)) SELECT * FROM y`,
  `SELECT (SELECT * FROM file('${secretFile}', LineAsString)) UNION ALL SELECT '1'`,
  `DESCRIBE (SELECT * FROM file('${secretFile}', LineAsString))`,
  `SELECT '${secretFile}' AS f, * APPLY file`,
  `SELECT * FROM url('file://${secretFile}', LineAsString)`,
  `SELECT 'any bytes' AS x INTO OUTFILE '${never}' FORMAT RawBLOB`,
  `SELECT x FROM (SELECT TOP 1$$ ' $$, 'any bytes' AS x) INTO OUTFILE '${never}' FORMAT RawBLOB; SELECT 3 -- '`,
  `INSERT INTO FUNCTION file('${never}', CSV, 'a UInt8') SELECT 1`,
  `INSERT INTO FUNCTION file('${never}', CSV, 'a UInt8') VALUES (1)`,
  `INSERT INTO t FROM INFILE '${secretFile}' FORMAT LineAsString`,
  `INSERT INTO t SELECT * FROM input('a String') AS i, file('${secretFile}', LineAsString) FORMAT CSV\n1`,
  `CREATE TABLE c (a UInt8) ENGINE = File(CSV, '${never}')`,
  'SELECT 1 AS x, 2 AS y FROM numbers(3) WHERE number > 1 ORDER BY x SETTINGS max_threads = 1 FORMAT CSV',
]

/** Such a statement, cut into words, quotes and signs. Some are doubled, removed, or joined by constructs that hide. */
function statement(): string {
  const tokens = pick(reaching).match(/\w+|'[^']*'|\s+|./gs) ?? []
  for (let changes = random(4); changes > 0; changes -= 1) {
    const at = random(tokens.length)
    const kind = random(4)
    if (kind === 0) tokens.splice(at, 1)
    else if (kind === 1) tokens.splice(at, 0, tokens[random(tokens.length)] ?? '')
    else tokens.splice(at, 0, pick(hiding), pick(hiding).repeat(random(2)))
  }
  return tokens.join('')
}

/** The answer. If a result fails midway and ends with its connection: the part that came. */
async function whatCame(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of response.body ?? []) chunks.push(chunk)
  } catch {}
  return Buffer.concat(chunks).toString('latin1')
}

it(`no statement reads or writes a file of the machine (SEED=${seed})`, { timeout: 120_000 + count * 20 }, async () => {
  const url = `http://127.0.0.1:${warehouse.port}/`
  const refused = new Map<string, number>()
  const ask = async (): Promise<void> => {
    const text = statement()
    const user = pick(['default', 'analyst', 'readonly'])
    const response = await fetch(`${url}?user=${user}&max_execution_time=5`, { method: 'POST', body: text })
    const body = await whatCame(response)
    const code = response.headers.get('x-clickhouse-exception-code') ?? 'none'
    refused.set(code, (refused.get(code) ?? 0) + 1)
    // A message may name the file, as the statement did. Only the content is secret.
    expect(body, `${JSON.stringify(text)} as ${user}`).not.toContain(secret)
    expect(existsSync(never), `${JSON.stringify(text)} as ${user}`).toBe(false)
  }
  const lane = async (): Promise<void> => {
    for (let done = 0; done < count / 4; done += 1) await ask()
  }
  await Promise.all([lane(), lane(), lane(), lane()])
  // Many mean something to the engine, and are refused for it: 291 by name, 358 and 78 for files behind INTO and FROM.
  for (const code of ['none', '291', '358', '78', '62'])
    expect(refused.get(code), JSON.stringify([...refused])).toBeGreaterThan(count / 500)
})
