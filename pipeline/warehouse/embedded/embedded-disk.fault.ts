import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

// A small file system needs root; elsewhere this is a visible skip.
describe.runIf(process.getuid?.() === 0)('the embedded engine on a disk that fills up', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-disk-'))
  const filler = join(dataDir, 'filler')
  let child: ChildProcess
  let port: number

  beforeAll(() => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=900m', 'tmpfs', dataDir]))
  afterAll(async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    execFileSync('umount', [dataDir])
    rmSync(dataDir, { recursive: true, force: true })
  })

  async function start(): Promise<void> {
    child = fork(join(import.meta.dirname, 'embedded-process.fixture.ts'), [dataDir], { silent: true })
    port = Number((await once(child, 'message'))[0])
  }

  async function ask(statement: string): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: statement })
    const text = (await response.text()).trim()
    if (!response.ok) throw new Error(text)
    return text
  }

  function fill(): void {
    const descriptor = openSync(filler, 'w')
    const zeros = Buffer.alloc(1024 * 1024)
    for (;;) {
      const { bavail, bsize } = statfsSync(dataDir)
      const bytes = Math.min(zeros.length, bavail * bsize)
      if (bytes === 0) break
      writeSync(descriptor, zeros, 0, bytes)
    }
    closeSync(descriptor)
  }

  it('neither confirms rows that are not there nor loses confirmed ones to a merge [G-2]', async () => {
    await start()
    await ask('CREATE DATABASE t')
    await ask(
      'CREATE TABLE t.rows (block UInt32, text String) ENGINE = MergeTree ORDER BY text SETTINGS old_parts_lifetime = 480',
    )
    const confirmed = new Set<number>()
    for (let round = 0, block = 0; round < 3; round++) {
      // Enough small parts to keep merges running.
      const insert = async (): Promise<void> => {
        const own = block++
        await ask(`INSERT INTO t.rows SELECT ${own}, hex(sipHash128(number, ${own})) FROM numbers(50000)`)
        confirmed.add(own)
      }
      for (let index = 0; index < 8; index++) await insert()
      const dies = once(child, 'exit')
      const inserts = Promise.allSettled([insert(), insert(), insert()])
      fill()
      await inserts
      rmSync(filler)
      if (!(await ask('SELECT 1').catch(() => undefined))) {
        await dies
        await start()
      }
      const rows = await ask('SELECT block, count(), min(length(text)) FROM t.rows GROUP BY block ORDER BY block')
      const found = new Map(rows.split('\n').map((line) => [Number(line.split('\t')[0]), line]))
      for (const each of confirmed) expect(found.get(each)).toBe(`${each}\t50000\t32`)
      for (const each of found.values()) expect(each).toMatch(/\t50000\t32$/)
    }
  })

  it('starts only once there is room, and says why it waits', async () => {
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    fill()
    let ready = false
    const started = start().then(() => {
      ready = true
    })
    const [line] = await once(child.stderr as Readable, 'data')
    expect(String(line)).toContain('waits for room')
    expect(ready).toBe(false)
    rmSync(filler)
    await started
    expect(await ask('SELECT count() > 0 FROM t.rows')).toBe('1')
  })
})
