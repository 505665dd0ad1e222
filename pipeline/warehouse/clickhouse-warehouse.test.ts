import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ClickHouseError } from '@clickhouse/client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { warehouseErrorFrom } from './clickhouse-warehouse.ts'
import { openWarehouse } from './open-warehouse.ts'
import type { Warehouse } from './warehouse.ts'

/** The answer to the next request; with `undefined` it is never answered. */
let answer: { status: number; body: string } | 'hang' | 'cut' = 'hang'
let received: { url: URL; body: Buffer } | undefined
let server: Server
let warehouse: Warehouse

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part)
    received = { url: new URL(request.url ?? '/', 'http://x'), body: Buffer.concat(parts) }
    if (answer === 'cut') request.socket.destroy()
    else if (answer !== 'hang') {
      const code = /^Code: (\d+)/.exec(answer.body)?.[1]
      response.writeHead(answer.status, code ? { 'X-ClickHouse-Exception-Code': code } : {}).end(answer.body)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  warehouse = openWarehouse({ url: `http://127.0.0.1:${port}`, user: 'default', password: '', requestMsMax: 200 })
})

afterAll(async () => {
  await warehouse.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const insert = () =>
  warehouse.insert('INSERT INTO t FORMAT Avro', [Buffer.from([0, 10]), Buffer.from([32, 255])], { a: '1' })

it('sends the chunks in order as the body, statement and settings in the URL', async () => {
  answer = { status: 200, body: '' }
  await insert()
  expect(received?.body).toEqual(Buffer.from([0, 10, 32, 255]))
  expect(received?.url.searchParams.get('query')).toBe('INSERT INTO t FORMAT Avro')
  expect(received?.url.searchParams.get('a')).toBe('1')
})

describe('an insert whose fate is unknown or can change is WAREHOUSE_UNAVAILABLE', () => {
  it.each([
    ['no answer in time', 'hang'],
    ['a cut connection', 'cut'],
    ['429 of a proxy', { status: 429, body: 'slow down' }],
    ['502 of a proxy', { status: 502, body: '<html>' }],
    ['503 without a body', { status: 503, body: '' }],
    [
      'TOO_MANY_PARTS',
      { status: 500, body: 'Code: 252. DB::Exception: Too many parts. (TOO_MANY_PARTS) (version 26.7)' },
    ],
    [
      'a missing table',
      { status: 404, body: 'Code: 60. DB::Exception: Unknown table. (UNKNOWN_TABLE) (version 26.7)' },
    ],
  ] as const)('%s', async (_, given) => {
    answer = given
    await expect(insert()).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE', disposition: 'retry' })
  })
})

it('what ClickHouse refuses for good is WAREHOUSE_REFUSED with its code in the text', async () => {
  answer = { status: 400, body: 'Code: 117. DB::Exception: Bad data. (INCORRECT_DATA) (version 26.7)' }
  await expect(insert()).rejects.toMatchObject({ code: 'WAREHOUSE_REFUSED', message: expect.stringContaining('117') })
})

it.each(['', 'x', '0', '-1'])('an error of the code %j refuses nothing: what it means is not known', (code) => {
  const error = new ClickHouseError({ message: 'no', code, type: 'UNKNOWN' })
  for (const operation of ['insert', 'query', 'command'] as const)
    expect(warehouseErrorFrom(error, operation).code).toBe('WAREHOUSE_UNAVAILABLE')
})

it.each(['1\n', '{"a":1}\n"text"\n', '[1]\n', 'null\n'])('%j is no answer of rows', async (body) => {
  answer = { status: 200, body }
  await expect(warehouse.query('SELECT 1')).rejects.toMatchObject({ code: 'WAREHOUSE_UNAVAILABLE' })
})

it('a missing table refuses a query, though it only delays an insert', () => {
  const error = new ClickHouseError({ message: 'no', code: '60', type: 'UNKNOWN_TABLE' })
  expect(warehouseErrorFrom(error, 'query').code).toBe('WAREHOUSE_REFUSED')
  expect(warehouseErrorFrom(error, 'insert').code).toBe('WAREHOUSE_UNAVAILABLE')
})
