import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { announceUse, claimFolder, type FolderUse } from './folder-use.ts'

const announcer = `
import { announceUse } from '${new URL('./folder-use.ts', import.meta.url).href}'
await announceUse(process.argv[1], 'third')
setInterval(() => {}, 60_000)
process.stdout.write('announced')`

describe('the use of a folder', () => {
  let folder = ''
  let uses: FolderUse[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'penstock-use-'))
  })
  afterEach(() => {
    for (const use of uses) use.end()
    uses = []
    rmSync(folder, { recursive: true, force: true })
  })

  async function announced(name: string, place = folder): Promise<FolderUse> {
    const use = await announceUse(place, name)
    uses.push(use)
    return use
  }

  test('is seen by the others for as long as it lasts, and no longer', async () => {
    const first = await announced('first')
    const second = await announced('second')
    expect(await first.others()).toEqual(['second'])
    expect(await second.others()).toEqual(['first'])
    first.end()
    expect(await second.others()).toEqual([])
    expect(readdirSync(folder)).toHaveLength(1)
  })

  test('that ended with its process is told once, to one of those who look', async () => {
    const killed = spawn(process.execPath, ['--input-type=module', '-e', announcer, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(killed.stdout, 'data')
    const [first, second] = [await announced('first'), await announced('second')]
    expect((await first.others()).sort()).toEqual(['second', 'third'])
    expect(await first.departed()).toEqual([])
    killed.kill('SIGKILL')
    await once(killed, 'close')
    const told = await Promise.all([first.departed(), second.departed()])
    expect(told.flat()).toEqual(['third'])
    expect(await first.departed()).toEqual([])
    second.end()
    expect(await first.departed()).toEqual([])
  })

  test('is told in a folder whose name is longer than that of a socket, and cut to what a file may be called', async () => {
    const deep = join(folder, 'x'.repeat(120))
    const first = await announced(`a/${'b'.repeat(300)}`, deep)
    const second = await announced('second', deep)
    expect(await first.others()).toEqual(['second'])
    expect(await second.others()).toEqual([`a_${'b'.repeat(38)}`])
  })

  test('of many who claim it at once at most one has it, and who comes later is told who', async () => {
    for (let round = 0; round < 5; round++) {
      const claims = await Promise.all(Array.from({ length: 6 }, (_, index) => claimFolder(folder, `claim ${index}`)))
      const taken = claims.filter((claim) => typeof claim !== 'string')
      expect(taken.length).toBeLessThanOrEqual(1)
      for (const use of taken) use.end()
    }
    const owner = await claimFolder(folder, '17 of here')
    if (typeof owner === 'string') throw new Error(owner)
    uses.push(owner)
    expect(await claimFolder(folder, 'late')).toBe('17 of here')
    expect(await owner.others()).toEqual([])
  })
})
