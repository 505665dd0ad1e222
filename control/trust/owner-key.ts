/** The owner's primary key as a file of the data folder. */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { replacePrivateFile } from '#runtime/private-files.ts'

function ownerKeyFile(dataDir: string): string {
  return join(dataDir, 'owner-key')
}

/** Leaves the key for the tools of this machine, readable by this user only. */
export function writeOwnerKey(dataDir: string, key: string): void {
  if (readOwnerKey(dataDir) === key) return
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  replacePrivateFile(ownerKeyFile(dataDir), `${key}\n`)
}

/** The owner's key as the control role of this data folder left it; `undefined` if it never ran here. */
export function readOwnerKey(dataDir: string): string | undefined {
  try {
    return readFileSync(ownerKeyFile(dataDir), 'utf8').trim()
  } catch {
    return undefined
  }
}
