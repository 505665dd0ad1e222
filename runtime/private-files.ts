/**
 * Keeps files from other users of the machine: folders have mode 0700, files 0600. A folder that is closed to others protects all that is
 * below it. Files that hold secrets are closed themselves too, in case they are moved elsewhere.
 *
 * Links are not followed: while a folder was open, anyone may have put a link there that leads anywhere.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, type Stats, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const otherUsers = 0o077
/** The sticky bit. */
const sharedByAll = 0o1000

/** What this process creates from now on is accessible to its user only, unless it asks otherwise. Processes that it starts inherit this. */
export function keepNewFilesPrivate(): void {
  process.umask(otherUsers)
}

/** Creates a folder, or closes an existing one to others if this user may. @throws the system's error */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  shut(folder)
}

/** Replaces a file. A reader finds the old text or the new one, never a part; other users find neither. @throws the system's error */
export function replacePrivateFile(file: string, text: string): void {
  const next = `${file}.new`
  writeFileSync(next, text, { mode: 0o600 })
  chmodSync(next, 0o600)
  renameSync(next, file)
}

/**
 * Closes a file to others, or a folder and then all that is below it. Costs a system call for each. Use it only in a folder that others
 * cannot change meanwhile.
 * @returns the names of what could not be closed; what does not exist counts as closed
 */
export function shutToOthers(path: string): string[] {
  const open = shut(path) ? [] : [path]
  return [...open, ...entriesOf(path).flatMap((name) => shutToOthers(join(path, name)))]
}

/** Takes all rights to one file or folder from other users; false if they still have some. */
export function shut(path: string): boolean {
  const found = statusOf(path)
  if (found === undefined || found.isSymbolicLink() || isPrivate(found.mode)) return true
  // A folder such as /tmp belongs to everybody, and this program must not close it.
  if ((found.mode & sharedByAll) !== 0) return false
  try {
    chmodSync(path, found.mode & 0o700)
  } catch {
    return false
  }
  // File systems without rights accept the change and ignore it.
  return isPrivate(statusOf(path)?.mode ?? 0)
}

/** Does not follow links. `undefined` for what does not exist, or lies in a folder that this user may not enter: then it is another user's. */
function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}

function isPrivate(mode: number): boolean {
  return (mode & otherUsers) === 0
}

/** Empty for what is no folder or is gone meanwhile, and for a folder that this user may not read: then it is another user's. */
function entriesOf(folder: string): string[] {
  if (!statusOf(folder)?.isDirectory()) return []
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
