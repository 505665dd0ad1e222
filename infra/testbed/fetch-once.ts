/** What tests and benches fetch once and keep in `.cache/` (or `PENSTOCK_TESTBED_CACHE`). */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** A lock older than this was left behind by a process that died. */
const lockAgeMsMax = 10 * 60_000

export function cachedFolder(name: string): string {
  return join(process.env.PENSTOCK_TESTBED_CACHE ?? fileURLToPath(new URL('../../.cache', import.meta.url)), name)
}

/** Fills a folder of its own and renames it, under a lock, so that several processes may start at once. */
export async function fetchOnce(folder: string, fill: (fresh: string) => Promise<unknown>): Promise<void> {
  if (existsSync(folder)) return
  mkdirSync(dirname(folder), { recursive: true })
  const lock = `${folder}.lock`
  while (!takeLock(lock)) {
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
  try {
    if (existsSync(folder)) return
    const fresh = `${folder}.${process.pid}`
    rmSync(fresh, { recursive: true, force: true })
    await fill(fresh)
    renameSync(fresh, folder)
  } finally {
    rmSync(lock, { force: true })
  }
}

/** Runs the client of a registry, for as long as a lock is held at most. */
export async function runClient(program: string, args: readonly string[], cwd?: string): Promise<void> {
  await promisify(execFile)(program, args, { timeout: lockAgeMsMax, cwd }).catch((cause: unknown) => {
    throw new Error(`${program} failed`, { cause })
  })
}

/** The jars that a pom names, with `properties` as `-Dname=value`. */
export function fetchJars(pom: string, folder: string, ...properties: readonly string[]): Promise<void> {
  const goal = ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime']
  return runClient('mvn', [...goal, `-DoutputDirectory=${folder}`, ...properties])
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch {
    try {
      if (Date.now() - statSync(lock).mtimeMs > lockAgeMsMax) rmSync(lock, { force: true })
    } catch {
      // The holder has just removed it.
    }
    return false
  }
}
