import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makePrivateFolder, replacePrivateFile, shut, shutToOthers } from './private-files.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-private-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const modeOf = (path: string) => statSync(path).mode & 0o7777

function openFile(name: string, mode: number): string {
  const path = join(folder, name)
  writeFileSync(path, 'x')
  chmodSync(path, mode)
  return path
}

function openFolder(name: string, mode: number): string {
  const path = join(folder, name)
  mkdirSync(path)
  chmodSync(path, mode)
  return path
}

test('a folder is shut with all that is below it; what its user may do stays', () => {
  const paths = [
    openFolder('a', 0o777),
    openFolder('a/b', 0o2755),
    openFile('a/b/key', 0o666),
    openFile('a/run', 0o755),
  ]
  expect(shutToOthers(join(folder, 'a'))).toEqual([])
  expect(paths.map(modeOf)).toEqual([0o700, 0o700, 0o600, 0o700])
})

test('a link leads nowhere: what it names keeps its rights', () => {
  const elsewhere = openFolder('elsewhere', 0o755)
  openFolder('a', 0o777)
  symlinkSync(elsewhere, join(folder, 'a/link'))
  symlinkSync(elsewhere, join(folder, 'b'))
  expect([...shutToOthers(join(folder, 'a')), ...shutToOthers(join(folder, 'b'))]).toEqual([])
  expect(modeOf(elsewhere)).toBe(0o755)
})

test('a folder that everybody shares stays as it is and is named', () => {
  const shared = openFolder('shared', 0o1777)
  expect(shut(shared)).toBe(false)
  expect(shutToOthers(shared)).toEqual([shared])
  expect(modeOf(shared)).toBe(0o1777)
})

test('what is not there is shut', () => {
  expect(shutToOthers(join(folder, 'missing'))).toEqual([])
})

test('a folder is made for its user alone, with those above it, and one that was there is shut', () => {
  makePrivateFolder(join(folder, 'a/b'))
  expect([join(folder, 'a'), join(folder, 'a/b')].map(modeOf)).toEqual([0o700, 0o700])
  chmodSync(join(folder, 'a/b'), 0o777)
  makePrivateFolder(join(folder, 'a/b'))
  expect(modeOf(join(folder, 'a/b'))).toBe(0o700)
})

test('a file that is replaced is for its user alone, whatever the one before and one half made were', () => {
  const file = openFile('key', 0o666)
  openFile('key.new', 0o666)
  replacePrivateFile(file, 'secret')
  expect(readFileSync(file, 'utf8')).toBe('secret')
  expect(modeOf(file)).toBe(0o600)
})
