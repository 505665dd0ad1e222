/**
 * Keeps files from other users of the machine: folders 0700, files 0600. A folder that is shut keeps all that is below it; what holds
 * secrets is shut itself too, for the day on which it is moved elsewhere.
 *
 * Links are not followed: while a folder was open, anyone may have put one there that leads anywhere.
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, type Stats, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const otherUsers = 0o077
/** The sticky bit. */
const sharedByAll = 0o1000

/** What this process makes from now on is its user's alone, unless it says otherwise; those that it starts inherit that. */
export function keepNewFilesPrivate(): void {
  process.umask(otherUsers)
}

/** Makes a folder, and shuts one that was there if this user may. @throws what the system says */
export function makePrivateFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  shut(folder)
}

/** A reader finds the old text or the new one, never a part; nobody else finds either. @throws what the system says */
export function replacePrivateFile(file: string, text: string): void {
  const next = `${file}.new`
  writeFileSync(next, text, { mode: 0o600 })
  chmodSync(next, 0o600)
  renameSync(next, file)
}

/**
 * Shuts a file, or a folder and then all that is below it. Costs a look at each. Only in a folder that others cannot change meanwhile.
 * @returns what could not be shut, by name; what is not there is shut
 */
export function shutToOthers(path: string): string[] {
  const open = shut(path) ? [] : [path]
  return [...open, ...entriesOf(path).flatMap((name) => shutToOthers(join(path, name)))]
}

/** Takes from other users what they may do with a file or folder itself; false if they still may something. */
export function shut(path: string): boolean {
  const found = statusOf(path)
  if (found === undefined || found.isSymbolicLink() || isPrivate(found.mode)) return true
  // One such as /tmp belongs to everybody, and is not for this program to shut.
  if ((found.mode & sharedByAll) !== 0) return false
  try {
    chmodSync(path, found.mode & 0o700)
  } catch {
    return false
  }
  // File systems without rights of their own take the change and keep what they had.
  return isPrivate(statusOf(path)?.mode ?? 0)
}

/** Of a link itself; `undefined` for what is not there, or lies in a folder that this user may not enter: then it is another's. */
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

/** Empty for what is no folder, or has gone meanwhile, and for one that this user may not read: then it is another's. */
function entriesOf(folder: string): string[] {
  if (!statusOf(folder)?.isDirectory()) return []
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
