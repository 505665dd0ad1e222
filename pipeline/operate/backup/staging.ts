import { existsSync } from 'node:fs'
import { join } from 'node:path'

/** In the data folder while a restore is under way. */
export function stagingFolder(dataDir: string): string {
  return join(dataDir, '.restoring')
}

/** True if a restore into this data folder was not finished. */
export function isHalfRestored(dataDir: string): boolean {
  return existsSync(stagingFolder(dataDir))
}
