import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-embedded-'))
let warehouse: EmbeddedWarehouse
let url: string

beforeAll(async () => {
  const loopback = { bind: '127.0.0.1', port: 0, password: 'w', readonlyPassword: 'r', logger: silentLogger }
  warehouse = await startEmbeddedWarehouse({ dataDir, ...loopback })
  url = `http://127.0.0.1:${warehouse.port}`
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

describe('Native at the revision of the client (clickhouse-go, Grafana)', () => {
  const at = async (statement: string, revision?: string) => {
    const parameters = {
      default_format: 'Native',
      allow_experimental_qbit_type: '1',
      ...(revision && { client_protocol_version: revision }),
    }
    const response = await post(statement, parameters)
    expect(response.status, await response.clone().text()).toBe(200)
    return Buffer.from(await response.arrayBuffer())
  }

  it('has block info and custom serialization from their revisions on', async () => {
    const column = [1, 49, 5, ...Buffer.from('UInt8')]
    const info = [1, 0, 2, 255, 255, 255, 255, 0]
    expect([...(await at('SELECT 1'))]).toEqual([1, 1, ...column, 1])
    expect([...(await at('SELECT 1', '54453'))]).toEqual([...info, 1, 1, ...column, 1])
    expect([...(await at('SELECT 1', '54460'))]).toEqual([...info, 1, 1, ...column, 0, 1])
  })

  it.each([
    "number::Int8, number::UInt256, number::Float32, toDate(number), toDateTime(number), toDateTime64(number, 3, 'UTC')",
    "toString(number), toFixedString('abc', 5), [toString(number), ''], [[number], []], map('a', [number])",
    "toNullable(number), if(number % 2 = 0, NULL, toString(number)), toLowCardinality(toString(number % 300)), CAST(NULL, 'LowCardinality(Nullable(String))')",
    "map('a', 'b')::Map(LowCardinality(String), String), [toLowCardinality('x')], tuple(1, 'a'), CAST((1, ['b']), 'Tuple(a UInt8, `b c` Array(String))')",
    "CAST('a', 'Enum8(\\'a\\' = 1, \\'b, (c\\' = 2)'), generateUUIDv4(), toIPv4('1.2.3.4'), toIPv6('::1'), toDecimal64(1, 4), toDecimal256(1, 4), toIntervalDay(1), NULL, true",
    '(1., 2.)::Point, [(1., 2.)]::Ring, [[(1., 2.)]]::Polygon, [[[(number, 2.)]]]::MultiPolygon, [(1., 2.)]::LineString, [[(1., 2.)]]::MultiLineString, (1., 2.)::Geometry',
    '[1, 2, number]::QBit(Float32, 3), arrayResize([1], 17)::QBit(Float64, 17), arrayResize([1], 8)::QBit(BFloat16, 8)',
    'number % 3 = 0 ? number::Variant(UInt64, String, Array(String)) : NULL, [number::Variant(UInt64, LowCardinality(String))], toString(number)::Variant(UInt64, String)',
    'multiIf(number % 4 = 0, number::Dynamic, number % 4 = 1, toString(number)::Dynamic, number % 4 = 2, [number]::Dynamic, NULL::Dynamic), number::Dynamic(max_types = 0)',
    `concat('{"a":', number, ',"b":{"c":[1,"x"]},"k', number % 7, '":"v","d.e":null}')::JSON`,
    `concat('{"b c":', number, ',"a":7,"s":"t","z":[{"y":', number % 5, '}]}')::JSON(max_dynamic_paths = 1, \`b c\` UInt64, a LowCardinality(Nullable(String)), SKIP s, SKIP REGEXP 'q, x')`,
    `[concat('{"a":', number, '}')::JSON], map('k', concat('{"a":"', number, '"}')::JSON), tuple('{}'::JSON)`,
  ])('steps over every value of %s', async (columns) => {
    const statement = `SELECT ${columns} FROM numbers(150000)`
    const plain = await at(statement)
    const revised = await at(statement, '54460')
    const added = revised.length - plain.length
    const columnCount = plain[0] ?? 0
    expect(added > 0 && added % (8 + columnCount)).toBe(0)
  })

  it('names the zone of times from its revision on', async () => {
    const zone = "DateTime('America/Chicago')"
    await post(`CREATE TABLE zoned (a ${zone}, b DateTime, c Array(${zone})) ENGINE = Memory`)
    await post('INSERT INTO zoned VALUES (0, 0, [0])')
    const statement = `SELECT a, 'DateTime' AS d, b, c, toDateTime(0, 'UTC') AS e FROM zoned FORMAT Native SETTINGS max_threads = 1`
    const types = [zone, 'String', 'DateTime', `Array(${zone})`, "DateTime('UTC')"]
    const headerOf = (bytes: Buffer) =>
      types.map((type) => bytes.includes(Buffer.from(`${String.fromCharCode(type.length)}${type}`)))
    expect(headerOf(await at(statement, '54336'))).toEqual([false, true, true, true, false])
    for (const [query, revision] of [
      [statement, '54337'],
      [statement, '54460'],
      [`WITH 1 AS x ${statement}`, '54460'],
    ] as const)
      expect(headerOf(await at(query, revision))).toEqual([true, true, true, true, true])
    // If the zone is not known, the times are still right.
    const inSession = { session_id: 'zones', default_format: 'Native', client_protocol_version: '54460' }
    await (await post(`CREATE TEMPORARY TABLE own AS SELECT a FROM zoned`, inSession)).text()
    const kept = Buffer.from(await (await post('SELECT a FROM own', inSession)).arrayBuffer())
    expect(kept.includes(Buffer.from('\x08DateTime\0'))).toBe(true)
  })

  it('greets clickhouse-go', async () => {
    const hello = await (await post('SELECT displayName(), version(), revision(), timezone() FORMAT TSV')).text()
    expect(hello).toMatch(/^\S+\t26\.\S+\t54\d{3}\t\S+\n$/)
  })

  it('refuses a type it does not know, and the query ends', async () => {
    const response = await post('SELECT sumState(number) FROM system.numbers GROUP BY number % 10 LIMIT 1', {
      default_format: 'Native',
      client_protocol_version: '54460',
      max_rows_to_read: '100000',
      read_overflow_mode: 'break',
    })
    expect(response.headers.get('x-clickhouse-exception-code')).toBe('48')
    await response.text()
  })
})
