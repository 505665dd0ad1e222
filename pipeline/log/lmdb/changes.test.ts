import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, onTestFinished, test } from 'vitest'
import { LmdbChanges } from './changes.ts'

const folder = mkdtempSync(join(tmpdir(), 'penstock-changes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function changesOf(file: string): LmdbChanges {
  const changes = new LmdbChanges(file)
  onTestFinished(() => changes.close())
  return changes
}

test('tells of the next write, once, and is believed from then on', async () => {
  const file = join(folder, 'data.mdb')
  writeFileSync(file, '')
  const changes = changesOf(file)
  let told = 0
  const write = new Promise<void>((resolve) =>
    changes.tellNext(() => {
      told++
      resolve()
    }),
  )
  expect(changes.reliable).toBe(false)
  appendFileSync(file, 'a page')
  await write
  expect(changes.reliable).toBe(false)
  appendFileSync(file, 'another page')
  await new Promise<void>((resolve) => {
    changes.tellNext(resolve)
    appendFileSync(file, 'a third page')
  })
  expect(told).toBe(1)
  changes.tellNext(() => {})
  expect(changes.reliable).toBe(true)
  changes.close()
  expect(changes.reliable).toBe(false)
})

test('what cannot be watched is never believed', () => {
  const changes = changesOf(join(folder, 'missing.mdb'))
  changes.tellNext(() => {})
  expect(changes.reliable).toBe(false)
})
