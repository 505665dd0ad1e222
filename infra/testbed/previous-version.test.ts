import { expect, test } from 'vitest'
import { type LockFile, previousVersion, sharesLibraries } from './previous-version.ts'

const lock = (packages: LockFile['packages']): LockFile => ({ packages: { '': { version: '0.1.0' }, ...packages } })
const pg = { 'node_modules/pg': { version: '8.0.0' } }

test('libraries are shared where all that runs is of the same version; what is for tests only, and what is new, does not matter', () => {
  const vitest = { version: '1.0.0', dev: true }
  expect(sharesLibraries(lock({ ...pg, 'node_modules/vitest': vitest }), lock(pg))).toBe(true)
  expect(sharesLibraries(lock(pg), lock({ ...pg, 'node_modules/lmdb': { version: '3.0.0' } }))).toBe(true)
  expect(sharesLibraries(lock(pg), lock({ 'node_modules/pg': { version: '8.0.1' } }))).toBe(false)
  expect(sharesLibraries(lock(pg), lock({}))).toBe(false)
})

test('what is no commit is refused', async () => {
  await expect(previousVersion('no-such-version')).rejects.toThrow()
  await expect(previousVersion('--output=x')).rejects.toThrow()
})
