import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findExecutable } from './executables.ts'

const pom = fileURLToPath(new URL('./kafka/pom.xml', import.meta.url))

/** A lock older than this was left behind by a process that died. */
const lockAgeMsMax = 10 * 60_000

/** What is missing to start Apache Kafka here; `undefined` if nothing is. */
export function kafkaMissing(): string | undefined {
  if (findExecutable('java') === undefined) return 'no Java runtime (17 or later)'
  if (!existsSync(jarFolder()) && findExecutable('mvn') === undefined) return 'no Maven to fetch its jars'
  return undefined
}

/** Class path of a Kafka broker. The jars are fetched once by Maven and kept in `.cache/` (or `PENSTOCK_TESTBED_CACHE`). */
export async function kafkaClassPath(): Promise<string> {
  const folder = jarFolder()
  if (!existsSync(folder)) await fetchJars(folder)
  return join(folder, '*')
}

function jarFolder(): string {
  const version = /<kafka\.version>(.*)<\/kafka\.version>/.exec(readFileSync(pom, 'utf8'))?.[1]
  const cache = process.env.PENSTOCK_TESTBED_CACHE ?? fileURLToPath(new URL('../../.cache', import.meta.url))
  return join(cache, `kafka-${version}`)
}

/** Fetches into a folder of its own and renames it, under a lock, so that several test processes may start at once. */
async function fetchJars(folder: string): Promise<void> {
  mkdirSync(dirname(folder), { recursive: true })
  const lock = `${folder}.lock`
  while (!takeLock(lock)) {
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
  try {
    if (existsSync(folder)) return
    const fresh = `${folder}.${process.pid}`
    rmSync(fresh, { recursive: true, force: true })
    const goal = [
      '-q',
      '-B',
      '-f',
      pom,
      'dependency:copy-dependencies',
      '-DincludeScope=runtime',
      `-DoutputDirectory=${fresh}`,
    ]
    await promisify(execFile)('mvn', goal, { timeout: lockAgeMsMax })
    renameSync(fresh, folder)
  } finally {
    rmSync(lock, { force: true })
  }
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
