import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { PenstockError } from '#schemas/errors.ts'

/**
 * Takes the file `path` as a lock for the life of this process; the result gives it back. A lock left by a process that is
 * gone is taken over: the file holds its process id and, where the system tells it, its start time, so that a reused
 * process id is not mistaken for the owner.
 * @throws PenstockError STORE_LOCKED
 */
export function lockStore(path: string): () => void {
  const own = processTag(process.pid) ?? String(process.pid)
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, own, { flag: 'wx', mode: 0o600 })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const owner = readOwner(path)
    const ownerPid = Number(owner.split(' ')[0])
    // The file being this process's own is a second opening, which is as harmful as another process's.
    if (Number.isInteger(ownerPid) && ownerPid > 0 && processTag(ownerPid) === owner) {
      throw new PenstockError('STORE_LOCKED', `the control store is in use by process ${ownerPid} (${path})`)
    }
    rmSync(path, { force: true })
  }
  throw new PenstockError('STORE_LOCKED', `another process took the control store first (${path})`)
}

function readOwner(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

/** `pid start-time` (Linux), or `pid` alone where only its being alive can be asked; `undefined` if there is no such process. */
function processTag(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // Field 22, counted behind the command name, which is in parentheses and may hold spaces (proc(5)).
    return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
  } catch {
    if (process.platform === 'linux') return undefined
  }
  try {
    process.kill(pid, 0)
    return String(pid)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? String(pid) : undefined
  }
}
