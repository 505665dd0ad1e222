import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('a statement that gets past the judge, with all rights of the engine, reaches no file beyond the engine’s own', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-confined-'))
  const dataDir = join(folder, 'warehouse')
  const [secret, never, program] = [join(folder, 'secret'), join(folder, 'never'), join(dataDir, 'program')]
  mkdirSync(join(dataDir, 'engine'), { recursive: true })
  writeFileSync(secret, 'the secret')
  writeFileSync(program, '#!/bin/sh\necho ran\n')
  chmodSync(program, 0o700)
  const child = fork(join(import.meta.dirname, 'confinement.fixture.ts'), [dataDir, secret, never], { silent: true })
  try {
    const [{ unconfined, outcomes, works }] = await once(child, 'message')
    // Without Landlock in the kernel this is a visible skip, and in CI a failure.
    if (unconfined !== undefined && process.env.CI !== 'true') return context.skip(unconfined)
    expect(unconfined).toBeUndefined()
    for (const [name, outcome] of Object.entries(outcomes)) expect(outcome, name).toMatch(/^refused: /)
    expect(works).toEqual(['', '', '', '499999500000\t1969-12-31 18:00:00\n'])
    expect([readFileSync(secret, 'utf8'), existsSync(never)]).toEqual(['the secret', false])
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
