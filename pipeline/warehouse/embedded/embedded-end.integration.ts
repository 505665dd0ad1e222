import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const lives = 2

test('a process that ends while its engine is open and busy ends with its exit code, and what was answered is there in the next life', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-end-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  for (let life = 0; life < lives; life++) {
    const child = fork(join(import.meta.dirname, 'embedded-process.fixture.ts'), [dataDir])
    onTestFinished(() => void child.kill('SIGKILL'))
    const [port] = await once(child, 'message')
    const answered = async (statement: string): Promise<string> => {
      const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: statement })
      expect(answer.status).toBe(200)
      return await answer.text()
    }
    for (let table = 0; table < life; table++)
      expect(await answered(`SELECT a FROM default.t${table}`)).toBe(`${table}\n`)
    await answered(`CREATE TABLE default.t${life} (a Int64) ENGINE = MergeTree ORDER BY a`)
    await answered(`INSERT INTO default.t${life} SELECT ${life}`)
    const running = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: 'SELECT * FROM system.numbers' })
    child.disconnect()
    expect(await once(child, 'exit')).toEqual([0, null])
    await expect(running.text()).rejects.toThrow()
  }
})
