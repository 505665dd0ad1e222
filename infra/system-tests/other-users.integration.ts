/** What other users of the machine find in the data folder, whatever the user's umask and an earlier version made of it. */
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RunningPenstock, startPenstock } from '#infra/testbed/penstock.ts'

/** Runs a command line whose new files are open to everybody. */
const withoutMask = ['/bin/sh', '-c', 'umask 000; exec "$@"', 'sh']
let folder = ''
let dataDir = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-others-'))
  chmodSync(folder, 0o755)
  dataDir = join(folder, 'data')
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Of a file or folder, and all that is below it: what other users may do something with, links aside. */
function openToOthers(path: string): string[] {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined || found.isSymbolicLink()) return []
  const open = (found.mode & 0o077) === 0 ? [] : [`${(found.mode & 0o777).toString(8)} ${path}`]
  return found.isDirectory() ? [...open, ...readdirSync(path).flatMap((name) => openToOthers(join(path, name)))] : open
}

async function start(): Promise<RunningPenstock> {
  return startPenstock(dataDir, { PENSTOCK_IDENTITIES: 'required' }, withoutMask)
}

test('a new data folder is shut from its first moment, and so is all that is in it', { timeout: 90_000 }, async () => {
  const seen = new Set<string>()
  const watch = setInterval(() => {
    if (existsSync(dataDir)) seen.add((lstatSync(dataDir).mode & 0o777).toString(8))
  }, 1)
  const penstock = await start().finally(() => clearInterval(watch))
  try {
    expect([...seen]).toEqual(['700'])
    expect(existsSync(join(dataDir, 'owner-key'))).toBe(true)
    expect(existsSync(join(dataDir, 'control.sock'))).toBe(true)
    expect(openToOthers(dataDir)).toEqual([])
  } finally {
    await penstock.stop()
  }
  expect(openToOthers(dataDir)).toEqual([])
})

test('a data folder that was open is shut at the next start', { timeout: 90_000 }, async () => {
  mkdirSync(join(dataDir, 'tls'), { recursive: true })
  writeFileSync(join(dataDir, 'tls', 'ca.key'), 'of an earlier version')
  writeFileSync(join(dataDir, 'notes.txt'), 'not of Penstock')
  const mode = { folder: 0o777, file: 0o666 }
  const open = (path: string): void => {
    const found = lstatSync(path)
    if (found.isSymbolicLink()) return
    chmodSync(path, found.isDirectory() ? mode.folder : mode.file)
    if (found.isDirectory()) for (const name of readdirSync(path)) open(join(path, name))
  }
  open(dataDir)
  const penstock = await start()
  try {
    const inside = openToOthers(dataDir).filter((line) => !/\/(log|warehouse)\//.test(line))
    expect(inside).toEqual([`666 ${join(dataDir, 'notes.txt')}`])
    expect(penstock.output()).not.toMatch(/other users/)
  } finally {
    await penstock.stop()
  }
})

test.skipIf(process.getuid?.() !== 0)(
  "a data folder that is another user's is said by name, and nothing in it is touched",
  { timeout: 90_000 },
  async () => {
    dataDir = join(folder, 'of-another')
    mkdirSync(join(dataDir, 'tls'), { recursive: true })
    chmodSync(join(dataDir, 'tls'), 0o755)
    chownSync(dataDir, 12_345, 12_345)
    const penstock = await start()
    try {
      expect(penstock.output()).toMatch(/error start: other users of this machine can reach .*of-another.* owner=12345/)
      expect(lstatSync(join(dataDir, 'tls')).mode & 0o777).toBe(0o755)
    } finally {
      await penstock.stop()
    }
  },
)
