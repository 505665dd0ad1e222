import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import { startEmbeddedWarehouse } from './start-embedded.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'penstock-locked-'))
let owner: ChildProcess
let url: string

beforeAll(async () => {
  owner = fork(join(import.meta.dirname, 'embedded-process.fixture.ts'), [dataDir])
  const [port] = await once(owner, 'message')
  url = `http://127.0.0.1:${port}`
})

afterAll(async () => {
  if (owner.exitCode === null && owner.signalCode === null) {
    const exited = once(owner, 'exit')
    owner.kill('SIGKILL')
    await exited
  }
  rmSync(dataDir, { recursive: true, force: true })
})

const post = async (body: string | ReadableStream, query = ''): Promise<string> => {
  const init = { method: 'POST', body, duplex: 'half' } as RequestInit
  return (await fetch(`${url}/?${new URLSearchParams({ query })}`, init)).text()
}

it('a second start on a folder in use is refused for good and takes nothing from the first', async () => {
  await post('CREATE TABLE t (a Int64) ENGINE = MergeTree ORDER BY a')
  const refused = async (): Promise<void> => {
    const second = startEmbeddedWarehouse({
      dataDir,
      bind: '127.0.0.1',
      port: 0,
      password: '',
      readonlyPassword: '',
      logger: silentLogger,
      lockedMsMax: 0,
    })
    await expect(second).rejects.toMatchObject({
      code: 'WAREHOUSE_LOCKED',
      disposition: 'fatal',
      message: expect.stringMatching(`process ${owner.pid} of .*: stop that process`),
    })
  }
  async function* rows() {
    yield Buffer.from('1\n'.repeat(100))
    while (!readdirSync(join(dataDir, 'spool')).some((name) => name.startsWith('insert'))) await setImmediate()
    await refused()
    yield Buffer.from('2\n')
  }
  expect(await post(ReadableStream.from(rows()), 'INSERT INTO t FORMAT TSV')).toBe('')
  for (let round = 0; round < 20; round++) expect(await post('SELECT sum(a) FROM t')).toBe('102\n')
})

it('a start waits for an engine that is just ending', async () => {
  const waiting: string[] = []
  const logger = { ...silentLogger, warn: (text: string) => void waiting.push(text) }
  const options = { dataDir, bind: '127.0.0.1', port: 0, password: '', readonlyPassword: '' }
  const second = startEmbeddedWarehouse({ ...options, logger })
  while (waiting.length === 0) await setImmediate()
  owner.kill('SIGKILL')
  const warehouse = await second
  url = `http://127.0.0.1:${warehouse.port}`
  expect(await post('SELECT sum(a) FROM t')).toBe('102\n')
  await warehouse.close()
})
