/** An earlier version of the project as a tree of its own, which runs beside this one. */
import { execFile, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cachedFolder, fetchOnce, runClient } from './fetch-once.ts'

const here = join(import.meta.dirname, '../..')

/** A version that was landed before this one, and that it is to run beside. Who lands a version names it here for the next. */
export const landedVersion = '873beacbfb109173a629845826adcc206637dbef'

export interface PreviousVersion {
  readonly commit: string
  /** Of its tree, ready to be started. */
  readonly root: string
}

/**
 * Unpacks a commit or tag once and keeps it in `.cache/`. Where this tree's libraries are those that its lock file names they are shared;
 * otherwise they are installed beside it.
 * @throws Error if there is no such commit, as in a clone without history
 */
export async function previousVersion(ref: string): Promise<PreviousVersion> {
  const commit = (await git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`)).trim()
  const root = cachedFolder(`previous/${commit}`)
  await fetchOnce(root, async (fresh) => {
    mkdirSync(fresh, { recursive: true })
    const archive = `${fresh}/archive.tar`
    await git('archive', `--output=${archive}`, commit)
    await runClient('tar', ['--extract', '--file', archive, '--directory', fresh])
    if (sharesLibraries(lockIn(fresh), lockIn(here)))
      symlinkSync(join(here, 'node_modules'), join(fresh, 'node_modules'))
    else await runClient('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], fresh)
  })
  return { commit, root }
}

/** What is missing to have that version here; `undefined` if nothing is. A clone without history has none, also where all servers are. */
export function landedVersionMissing(): string | undefined {
  const { status } = spawnSync('git', ['cat-file', '-e', `${landedVersion}^{commit}`], { cwd: here })
  return status === 0 ? undefined : `this clone has no commit ${landedVersion.slice(0, 8)}`
}

export interface LockFile {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly dev?: boolean }>>
}

/** Whether all that an older version needs to run is there in a newer one, at the same places and of the same versions. */
export function sharesLibraries(older: LockFile, newer: LockFile): boolean {
  return Object.entries(older.packages).every(
    ([place, { version, dev }]) => place === '' || dev === true || newer.packages[place]?.version === version,
  )
}

function lockIn(root: string): LockFile {
  const file = join(root, 'package-lock.json')
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LockFile) : { packages: {} }
}

async function git(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('git', args, { cwd: here })
  return stdout
}
