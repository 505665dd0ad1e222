import { rmSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { claimFolder } from '#runtime/folder-use.ts'
import { PenstockError } from '#schemas/errors.ts'

/**
 * Takes the folder `path` as a lock for the life of this process, whatever namespaces it has; the result gives it back. Who is refused
 * has touched nothing of the store's.
 * @throws PenstockError STORE_LOCKED
 */
export async function lockStore(path: string): Promise<() => void> {
  // Earlier versions wrote a process id there, which proves nothing.
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === true) rmSync(path)
  const use = await claimFolder(path, `${process.pid} of ${hostname()}`)
  if (typeof use !== 'string') return () => use.end()
  throw new PenstockError(
    'STORE_LOCKED',
    `the control store is in use by process ${use} (${path}): stop that one, give this one another PENSTOCK_DATA_DIR, ` +
      'or let both share PENSTOCK_POSTGRES_URL',
  )
}
