import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { beforeEach, expect, onTestFinished, test } from 'vitest'

let dataDir: string
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'penstock-end-'))
  return () => rmSync(dataDir, { recursive: true, force: true })
})

interface Life {
  readonly child: ChildProcess
  asked(statement: string): Promise<Response>
  answered(statement: string): Promise<string>
}

/** An engine in a process of its own, on the folder of this test. */
async function nextLife(): Promise<Life> {
  const child = fork(join(import.meta.dirname, 'embedded-process.fixture.ts'), [dataDir], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [port] = await once(child, 'message')
  const asked = (statement: string) => fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: statement })
  const answered = async (statement: string): Promise<string> => {
    const answer = await asked(statement)
    expect([answer.status, await answer.clone().text()]).toEqual([200, expect.any(String)])
    return await answer.text()
  }
  return { child, asked, answered }
}

const lives = 2

test('a process that ends while its engine is open and busy ends with its exit code, and what was answered is there in the next life', async () => {
  for (let life = 0; life < lives; life++) {
    const { child, asked, answered } = await nextLife()
    for (let table = 0; table < life; table++)
      expect(await answered(`SELECT a FROM default.t${table}`)).toBe(`${table}\n`)
    await answered(`CREATE TABLE default.t${life} (a Int64) ENGINE = MergeTree ORDER BY a`)
    await answered(`INSERT INTO default.t${life} SELECT ${life}`)
    const running = await asked('SELECT * FROM system.numbers')
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
    await expect(running.text()).rejects.toThrow()
  }
})

test('rows that tables hold in memory are stored before the engine ends, and it is said which cannot be', async () => {
  const never = '1, 1000, 1000, 1000000, 1000000, 100000000, 100000000'
  const { child, answered } = await nextLife()
  await answered('CREATE TABLE default.behind (a Int64) ENGINE = MergeTree ORDER BY a')
  await answered(`CREATE TABLE default.\`b\\\`r\` (a Int64) ENGINE = Buffer(default, behind, ${never})`)
  await answered(`CREATE TABLE default.a_first (a Int64) ENGINE = Buffer(default, \`b\\\`r\`, ${never})`)
  await answered(`CREATE TABLE default.z_last (a Int64) ENGINE = Buffer(default, \`b\\\`r\`, ${never})`)
  await answered('INSERT INTO default.a_first SELECT 1')
  await answered('INSERT INTO default.z_last SELECT 2')
  await answered('CREATE TABLE default.strict (a Int64, CONSTRAINT small CHECK a < 3) ENGINE = MergeTree ORDER BY a')
  await answered(`CREATE TABLE default.lost (a Int64) ENGINE = Buffer(default, strict, ${never})`)
  await answered('INSERT INTO default.lost SELECT 3')
  expect(await answered('SELECT count() FROM default.behind')).toBe('0\n')
  child.send('close')
  const said = text(child.stderr as NonNullable<ChildProcess['stderr']>)
  expect(await once(child, 'exit')).toEqual([0, null])
  expect(await said).toMatch(/rows that are only in memory cannot be stored rows=1\n.*table=`default`\.`lost`/)
  const next = await nextLife()
  expect(await next.answered('SELECT a FROM default.behind ORDER BY a')).toBe('1\n2\n')
})
