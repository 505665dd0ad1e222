import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { roleLimitsFrom } from '#schemas/role-limits.ts'
import { type EmbeddedWarehouse, startEmbeddedWarehouse } from './start-embedded.ts'

const setBy = 'PENSTOCK_TEST_LIMITS'

describe('limits that an operator sets for a user of the embedded engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-limits-'))
  let warehouse: EmbeddedWarehouse

  beforeAll(async () => {
    const readonly = 'seconds=1 memory=50MB rows-read=200000000 rows-result=1000'
    warehouse = await startEmbeddedWarehouse({
      ...{ dataDir: folder, bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '', logger: silentLogger },
      limits: {
        readonly: { limits: roleLimitsFrom(readonly, setBy), setBy },
        analyst: { limits: roleLimitsFrom('queries=2', setBy), setBy },
      },
    })
  })

  afterAll(async () => {
    await warehouse.close()
    rmSync(folder, { recursive: true })
  })

  const ask = async (statement: string, parameters: Readonly<Record<string, string>> = {}, user = 'readonly') => {
    const query = new URLSearchParams({ user, ...parameters })
    const answer = await fetch(`http://127.0.0.1:${warehouse.port}/?${query}`, { method: 'POST', body: statement })
    return { status: answer.status, text: await answer.text() }
  }

  test.each([
    [
      'seconds=1',
      159,
      'SELECT count() FROM numbers(150000000) WHERE NOT ignore(sipHash64(number, sipHash128(number)))',
    ],
    ['memory=50000000', 241, 'SELECT groupArray(number) FROM numbers(100000000)'],
    ['rows-read=200000000', 158, 'SELECT max(number) FROM numbers(300000000)'],
    ['rows-result=1000', 396, 'SELECT number FROM numbers(2000)'],
  ])('%s ends a statement with an error that names it and where it was set', async (limit, code, statement) => {
    const { text } = await ask(statement)
    expect(text).toContain(`Code: ${code}.`)
    expect(text).toContain(`The limit of user readonly is ${limit} (${setBy})`)
  })

  test('more statements at the same time than may be are refused by name; others are not', async () => {
    const long = () => ask('SELECT sleepEachRow(0.1) FROM numbers(3) SETTINGS max_block_size = 1', {}, 'analyst')
    const answers = await Promise.all([long(), long(), long(), ask('SELECT 1')])
    const refused = answers.filter(({ status }) => status === 503)
    expect(refused).toHaveLength(1)
    expect(refused[0]?.text).toContain(`maximum: 2. The limit of user analyst is queries=2 (${setBy})`)
    expect(answers[3]?.status).toBe(200)
    expect((await long()).status).toBe(200)
  })

  test('neither the address nor the statement lifts a limit; a lower one of the client holds', async () => {
    expect((await ask('SELECT number FROM numbers(2000)', { max_result_rows: '0' })).text).toContain('Code: 396.')
    expect((await ask('SELECT number FROM numbers(20) SETTINGS max_result_rows = 0')).text).toContain('Code: 164.')
    expect((await ask('SELECT number FROM numbers(500)', { max_result_rows: '10' })).text).toContain('Code: 396.')
    expect((await ask('SELECT count() FROM numbers(1000)')).text).toBe('1000\n')
  })

  test('other users have theirs', async () => {
    expect((await ask('SELECT number FROM numbers(2000) FORMAT Null', {}, 'analyst')).status).toBe(200)
  })
})
