import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nameAt } from '../objects/object-sink-fixture.ts'
import { FileStore } from './file-store.ts'

const never = new AbortController().signal
const isRoot = process.getuid?.() === 0

let parent: string
let folder: string
let store: FileStore

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'penstock-file-store-'))
  folder = join(parent, 'folder')
  mkdirSync(folder)
  store = new FileStore(folder, [parent])
})
afterEach(() => rmSync(parent, { recursive: true, force: true }))

async function* content(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}
const name = nameAt(7)
const parts = () => readdirSync(join(folder, '.parts'))
const filesOf = async (): Promise<string[]> => {
  const names: string[] = []
  for await (const each of store.list('')) names.push(each)
  return names
}

describe('files in a folder', () => {
  test('appear whole, closed to other users, and nothing else stays', async () => {
    await store.put(name, content('a', '', 'bc'), never)
    const file = join(folder, name)
    expect(readFileSync(file, 'utf8')).toBe('abc')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(join(folder, 'hub')).mode & 0o777).toBe(0o700)
    expect(parts()).toEqual([])
    expect(await store.has(name)).toBe(true)
    expect(await store.has(nameAt(8))).toBe(false)
  })

  test('are never replaced', async () => {
    await store.put(name, content('first'), never)
    await store.put(name, content('second'), never)
    expect(readFileSync(join(folder, name), 'utf8')).toBe('first')
    expect(parts()).toEqual([])
  })

  test('are not there before they are whole, nor after what they hold could not be read', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      expect(await store.has(name)).toBe(false)
      expect(parts()).toHaveLength(1)
      throw new Error('the log is gone')
    }
    await expect(store.put(name, broken(), never)).rejects.toThrow('the log is gone')
    expect(await store.has(name)).toBe(false)
    expect(parts()).toEqual([])
  })

  test('do not appear any more once their time is over', async () => {
    const over = new AbortController()
    async function* slow(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('a')
      over.abort()
    }
    await expect(store.put(name, slow(), over.signal)).rejects.toMatchObject({ code: 'ENDPOINT_UNAVAILABLE' })
    expect(await store.has(name)).toBe(false)
    expect(parts()).toEqual([])
  })

  test('that a crash left unfinished are removed, and those of others that still write are not', async () => {
    await store.put(name, content('a'), never)
    for (const part of ['left-behind', 'being-written']) writeFileSync(join(folder, '.parts', part), 'x')
    const hourAgo = Date.now() / 1000 - 3_600
    utimesSync(join(folder, '.parts/left-behind'), hourAgo, hourAgo)
    await store.sweep('', undefined, 60_000)
    expect(parts()).toEqual(['being-written'])
    expect(await filesOf()).toEqual([name])
  })

  test('are listed by what their names begin with', async () => {
    for (const offset of [1, 2, 3]) await store.put(nameAt(offset), content('a'), never)
    mkdirSync(join(folder, 'hub/1'))
    writeFileSync(join(folder, 'hub/1/other'), '')
    expect((await filesOf()).sort()).toEqual([nameAt(1), nameAt(2), nameAt(3), 'hub/1/other'].sort())
    const found: string[] = []
    for await (const each of store.list('hub/0/20')) found.push(each)
    expect(found.sort()).toEqual([nameAt(1), nameAt(2), nameAt(3)])
    for await (const each of store.list('nobody/0/')) expect.fail(each)
  })

  test('are written only in and below the folders that are allowed', async () => {
    await new FileStore(folder, ['/nowhere', folder]).put(name, content('a'), never)
    const neighbour = new FileStore(folder, [folder.slice(0, -1), join(parent, 'folder', 'inner')])
    await expect(neighbour.put(nameAt(8), content('a'), never)).rejects.toMatchObject({
      message: expect.stringContaining('PENSTOCK_ENDPOINTS_FOLDERS'),
    })
    expect(await filesOf()).toEqual([name])
  })

  test('are written nowhere if the folder is a link that leads out of those', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'penstock-file-store-outside-'))
    try {
      symlinkSync(outside, join(parent, 'link'))
      const led = new FileStore(join(parent, 'link'), [parent])
      await expect(led.put(name, content('a'), never)).rejects.toMatchObject({
        message: expect.stringContaining('PENSTOCK_ENDPOINTS_FOLDERS'),
      })
      expect(readdirSync(outside)).toEqual([])
    } finally {
      rmSync(outside, { recursive: true, force: true })
    }
  })

  test('go nowhere if a link stands where a folder was', async () => {
    const outside = join(parent, 'outside')
    mkdirSync(outside)
    symlinkSync(outside, join(folder, 'hub'))
    await expect(store.put(name, content('a'), never)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    expect(readdirSync(outside, { recursive: true }).filter((each) => String(each).endsWith('.json'))).toEqual([])
  })

  test('a folder that is not there is not made: whatever is asked, it holds', async () => {
    renameSync(folder, `${folder}.away`)
    const gone = { code: 'ENDPOINT_HELD', failure: 'NotFound', message: expect.stringContaining('is not there') }
    await expect(store.put(name, content('a'), never)).rejects.toMatchObject(gone)
    await expect(store.has(name)).rejects.toMatchObject(gone)
    await expect(filesOf()).rejects.toMatchObject(gone)
    expect(await store.accepts()).toBe(false)
    expect(readdirSync(parent)).toEqual(['folder.away'])
    renameSync(`${folder}.away`, folder)
    await store.put(name, content('a'), never)
    expect(await store.accepts()).toBe(true)
  })

  test('what is no folder holds', async () => {
    rmSync(folder, { recursive: true })
    writeFileSync(folder, '')
    await expect(store.put(name, content('a'), never)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
  })

  test.skipIf(isRoot)('a folder without the right to write holds', async () => {
    chmodSync(folder, 0o500)
    await expect(store.put(name, content('a'), never)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    expect(await store.accepts()).toBe(false)
    chmodSync(folder, 0o700)
  })

  describe.skipIf(!isRoot || process.platform !== 'linux')('on a disk of its own [needs root on Linux]', () => {
    const mount = (...options: readonly string[]) => execFileSync('mount', [...options, folder])
    afterEach(() => execFileSync('umount', [folder]))

    test('a full disk is tried again until there is room, and nothing is left of the attempt', async () => {
      mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs')
      const long = 'x'.repeat(600_000)
      await store.put(nameAt(1), content(long), never)
      const full = { code: 'ENDPOINT_UNAVAILABLE', message: expect.stringContaining('ENOSPC') }
      await expect(store.put(name, content(long), never)).rejects.toMatchObject(full)
      expect(await store.has(name)).toBe(false)
      expect(parts()).toEqual([])
      rmSync(join(folder, nameAt(1)))
      await store.put(name, content(long), never)
      expect(await store.has(name)).toBe(true)
    })

    test('a disk that is read-only holds', async () => {
      mount('-t', 'tmpfs', '-o', 'ro,size=1m', 'tmpfs')
      const readOnly = { code: 'ENDPOINT_HELD', message: expect.stringContaining('is read-only') }
      await expect(store.put(name, content('a'), never)).rejects.toMatchObject(readOnly)
      expect(await store.accepts()).toBe(false)
    })
  })
})
