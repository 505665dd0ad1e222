import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '#runtime/clock.ts'
import { settingsFromEnvironment } from '#runtime/settings.ts'
import { limits } from '#schemas/limits.ts'
import { ClickhouseSql } from './analyst-sql.ts'

let server: Server | undefined
afterEach(() => server?.close())

/** A server in ClickHouse's place that answers as `answer` does. */
async function sqlOver(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  environment: Readonly<Record<string, string>> = {},
): Promise<ClickhouseSql> {
  server = createServer(answer)
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const settings = settingsFromEnvironment({
    PENSTOCK_CLICKHOUSE_URL: `http://127.0.0.1:${port}`,
    PENSTOCK_CLICKHOUSE_READONLY_USER: 'analyst-of-mine',
    PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: 'its-password',
    ...environment,
  })
  return new ClickhouseSql(settings, systemClock)
}

async function linesFrom(sql: ClickhouseSql, statement = 'SELECT 1'): Promise<readonly Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = []
  for await (const line of sql.run(statement)) lines.push(JSON.parse(Buffer.from(line).toString()))
  return lines
}

test('a statement runs as the user for analysts, within bounds, and its lines come as they are', async () => {
  const asked: string[] = []
  const sql = await sqlOver((request, response) => {
    const { searchParams } = new URL(request.url ?? '', 'http://host')
    asked.push(`${request.headers['x-clickhouse-user']} ${request.headers['x-clickhouse-key']}`)
    asked.push(`${searchParams.get('max_execution_time')} ${searchParams.get('result_overflow_mode')}`)
    // Lines arrive in whatever pieces.
    response.write('{"meta":[{"name":"x","type":"UInt8"}]}\n{"ro')
    setImmediate(() => response.end('w":[1]}\n'))
  })
  expect(await linesFrom(sql)).toEqual([{ begun: true }, { meta: [{ name: 'x', type: 'UInt8' }] }, { row: [1] }])
  expect(asked).toEqual(['analyst-of-mine its-password', `${limits.consoleStatementSecondsMax} break`])
})

test('without a user for analysts nothing is run', async () => {
  const sql = await sqlOver(() => expect.unreachable(), { PENSTOCK_CLICKHOUSE_READONLY_USER: '' })
  expect(await linesFrom(sql)).toEqual([{ fault: expect.stringContaining('PENSTOCK_CLICKHOUSE_READONLY_USER') }])
})

test('an answer is cut at so many rows, and the statement ends', async () => {
  let isEnded = false
  const sql = await sqlOver((request, response) => {
    response.on('close', () => {
      isEnded = true
    })
    const send = (): void => {
      while (response.write('{"row":[1]}\n'.repeat(1_000)));
    }
    response.on('drain', send)
    send()
    request.resume()
  })
  const lines = await linesFrom(sql)
  expect(lines.length).toBe(1 + limits.consoleRowsMax + 1)
  expect(lines.at(-1)).toEqual({ cut: limits.consoleRowsMax })
  await expect.poll(() => isEnded).toBe(true)
})

test.each([
  [400, 'Code: 62. DB::Exception: Syntax error', { fault: 'Code: 62. DB::Exception: Syntax error' }],
  [200, '{"row":[1]}\nCode: 241. DB::Exception: Memory limit\n', { fault: 'Code: 241. DB::Exception: Memory limit' }],
  [200, '{"row":[1]}\n{"row":[2', { fault: '{"row":[2' }],
])('status %i with %j ends in a fault', async (status, body, last) => {
  const sql = await sqlOver((_request, response) => response.writeHead(status).end(body))
  expect((await linesFrom(sql)).at(-1)).toEqual(last)
})

test('while nothing comes it is told for how long, and how much has been read as far as that is known', async () => {
  const statement = "SELECT 'it\\'s'"
  const progress = { read_rows: '7', read_bytes: '70', total_rows_to_read: '100' }
  const asked: string[] = []
  const sql = await sqlOver(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    if (body === statement) return void response.on('close', () => {})
    asked.push(body)
    // The first time there is no answer to it.
    if (asked.length === 1) response.writeHead(500).end()
    else response.end(JSON.stringify(progress))
  })
  const iterator = sql.run(statement)[Symbol.asyncIterator]()
  const next = async () => JSON.parse(Buffer.from((await iterator.next()).value).toString())
  expect(await next()).toEqual({ begun: true })
  expect(await next()).toEqual({ elapsedMs: expect.any(Number) })
  expect(await next()).toEqual({ elapsedMs: expect.any(Number), progress })
  expect(asked[0]).toContain(String.raw`startsWith(query, 'SELECT \'it\\\'s\'')`)
  await iterator.return?.()
})

test('a client that goes ends the statement, also before the first row; a place is free again', async () => {
  let open = 0
  const sql = await sqlOver((_request, response) => {
    open++
    response.on('close', () => open--)
  })
  const iterators = Array.from({ length: limits.consoleStatementsMax }, () => sql.run('x')[Symbol.asyncIterator]())
  for (const iterator of iterators) await iterator.next()
  const waiting = iterators.map((iterator) => iterator.next())
  await expect.poll(() => open).toBe(limits.consoleStatementsMax)
  expect(await linesFrom(sql)).toEqual([{ fault: expect.stringContaining('run already') }])
  for (const iterator of iterators) void iterator.return?.()
  await Promise.all(waiting)
  await expect.poll(() => open).toBe(0)
  const again = sql.run('x')[Symbol.asyncIterator]()
  expect(Buffer.from((await again.next()).value).toString()).toBe('{"begun":true}\n')
  await again.return?.()
})
