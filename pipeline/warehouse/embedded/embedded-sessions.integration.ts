import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-sessions-'))
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

const post = (body: string, parameters: Record<string, string> = {}) =>
  fetch(`${url}/?${new URLSearchParams(parameters)}`, { method: 'POST', body })
const text = async (body: string, parameters?: Record<string, string>) => (await post(body, parameters)).text()
const codeOf = async (body: string, parameters: Record<string, string>) => {
  const response = await post(body, parameters)
  await response.text()
  return response.headers.get('x-clickhouse-exception-code')
}

describe('a session', () => {
  const mine = { session_id: 'mine' }

  it('keeps temporary tables, SET and USE, and no other session has them', async () => {
    expect(await text('CREATE TEMPORARY TABLE t (a Int64)', mine)).toBe('')
    expect(await text('INSERT INTO t FORMAT TSV\n1\n2\n', mine)).toBe('')
    expect(await text('SET max_threads = 3', { ...mine, max_block_size: '77' })).toBe('')
    expect(await text('USE system', { ...mine, database: 'default' })).toBe('')
    const state = "SELECT currentDatabase(), getSetting('max_threads'), getSetting('max_block_size') = 77"
    expect(await text(state, mine)).toBe('system\t3\t0\n')
    expect(await text('SELECT sum(a) FROM t', mine)).toBe('3\n')
    expect(await text(state, { session_id: 'other' })).not.toContain('system')
    expect(await codeOf('SELECT sum(a) FROM t', { session_id: 'other' })).toBe('60')
    expect(await codeOf('SELECT sum(a) FROM t', { ...mine, user: 'readonly' })).toBe('60')
  })

  it('what the URL sets holds for its request only', async () => {
    const state = "SELECT currentDatabase(), getSetting('max_threads'), getSetting('max_result_rows')"
    expect(await text(state, { ...mine, database: 'default', max_threads: '5', max_result_rows: '9' })).toBe(
      'default\t5\t9\n',
    )
    expect(await codeOf('SELECT nope', { ...mine, database: 'default', max_threads: '5' })).toBe('47')
    expect(await text(state, mine)).toBe('system\t3\t0\n')
  })

  it('only reads by GET and with readonly=1, and writes again after it', async () => {
    const create = 'CREATE TABLE g (a Int8) ENGINE = Memory'
    const got = await fetch(`${url}/?${new URLSearchParams({ ...mine, query: create })}`)
    expect(got.headers.get('x-clickhouse-exception-code')).toBe('164')
    await got.text()
    expect(await codeOf(create, { ...mine, readonly: '1' })).toBe('164')
    expect(await text('INSERT INTO t VALUES (4)', mine)).toBe('')
  })

  it('is locked while a request has it', async () => {
    const abort = new AbortController()
    const running = fetch(`${url}/?session_id=busy&query_id=busy`, {
      method: 'POST',
      body: 'SELECT count() FROM system.numbers',
      signal: abort.signal,
    }).catch(() => 'gone')
    while ((await text("SELECT count() FROM system.processes WHERE Settings['log_comment'] = 'busy'")) !== '1\n');
    expect(await codeOf('SELECT 1', { session_id: 'busy' })).toBe('373')
    abort.abort()
    expect(await running).toBe('gone')
  })

  it('serves one request after another without a pause', async () => {
    for (let round = 0; round < 50; round++)
      expect(await text('SELECT 1', { ...mine, max_threads: '2' }), `round ${round}`).toBe('1\n')
  })

  it('is asked for, bounded in time and closed by its parameters', async () => {
    expect(await codeOf('SELECT 1', { session_id: 'none', session_check: '1' })).toBe('372')
    expect(await codeOf('SELECT 1', { ...mine, session_timeout: '3601' })).toBe('374')
    expect(await codeOf('SELECT 1', { ...mine, session_timeout: 'x' })).toBe('374')
    expect(await text('SELECT 1', { ...mine, session_check: '1', close_session: '1' })).toBe('1\n')
    expect(await codeOf('SELECT 1', { ...mine, session_check: '1' })).toBe('372')
  })
})
