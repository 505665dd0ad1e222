import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { embeddedWarehouseForTests } from '../embedded-fixture.ts'

/** Whether temporary folders are on a file system that knows the attribute. */
const isKnown = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-attribute-'))
  try {
    execFileSync('chattr', ['+T', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  } finally {
    rmSync(folder, { recursive: true })
  }
})()

function tableFolders(dataDir: string): string[] {
  const store = join(dataDir, 'engine/store')
  return readdirSync(store).flatMap((group) =>
    readdirSync(join(store, group))
      .filter((table) => readdirSync(join(store, group, table)).includes('format_version.txt'))
      .map((table) => join(store, group, table)),
  )
}

/** Whether each table's folder has the attribute T. */
function spreads(dataDir: string): boolean[] {
  const folders = tableFolders(dataDir)
  const lines = execFileSync('lsattr', ['-d', ...folders], { encoding: 'utf8' })
    .trim()
    .split('\n')
  return lines.map((line) => line.split(' ')[0]?.includes('T') ?? false)
}

test.runIf(isKnown)('parts of a table get block groups of their own, in old data folders too', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-parts-'))
  try {
    const first = await embeddedWarehouseForTests(dataDir)
    try {
      await first.command('CREATE TABLE a (a UInt32) ENGINE = MergeTree ORDER BY a')
      await expect.poll(() => spreads(dataDir)).toEqual([true])
    } finally {
      await first.close()
    }
    execFileSync('chattr', ['-T', ...tableFolders(dataDir)])
    const second = await embeddedWarehouseForTests(dataDir)
    try {
      await expect.poll(() => spreads(dataDir)).toEqual([true])
      await second.command('CREATE TABLE b (a UInt32) ENGINE = MergeTree ORDER BY a')
      await expect.poll(() => spreads(dataDir)).toEqual([true, true])
    } finally {
      await second.close()
    }
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
