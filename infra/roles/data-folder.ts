import { existsSync, realpathSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '#runtime/logger.ts'
import { shut, shutToOthers } from '#runtime/private-files.ts'

/** What Penstock keeps in the data folder and shuts whole; not all that is there, since the folder may have other things in it, too. */
const secrets = [
  'control-store',
  'control-store.lock',
  'control.sock',
  'edges',
  'owner-key',
  'routing',
  'secrets-key',
  'tls',
  'https',
]
/** Of these the folder is enough: what is in it may be very many files. */
const large = ['log', 'warehouse']

/** Shuts a data folder that other users of the machine can reach, itself first; what cannot be shut is said by name. */
export function keepDataFolderPrivate(dataDir: string, logger: Logger): void {
  // One that is none, or can't be reached, stops the start for that reason.
  if (!existsSync(dataDir) || !statSync(dataDir).isDirectory()) return
  const folder = realpathSync(dataDir)
  const open = openIn(folder)
  if (open.length === 0) return
  const { uid, mode } = statSync(folder)
  logger.error('other users of this machine can reach what should be private: give it to the user that runs Penstock', {
    paths: open.slice(0, namedMax).join(' '),
    count: open.length,
    owner: uid,
    mode: (mode & 0o7777).toString(8),
  })
}

const namedMax = 5

function openIn(folder: string): string[] {
  const { uid } = statSync(folder)
  const isAnothers = uid !== 0 && uid !== process.getuid?.()
  // Whoever can still put links in it could lead what follows to files elsewhere.
  if (!shut(folder) || isAnothers) return [folder]
  return [
    ...secrets.flatMap((name) => shutToOthers(join(folder, name))),
    ...large.map((name) => join(folder, name)).filter((path) => !shut(path)),
  ]
}
