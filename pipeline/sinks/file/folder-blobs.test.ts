import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { blobStoreConformance, contentOf } from '#pipeline/blobs/blob-store.conformance.ts'
import { FolderBlobs } from './folder-blobs.ts'

const never = new AbortController().signal
let parent: string
const folder = (): string => join(parent, 'files')

const subject = {
  start: async () => {
    parent = mkdtempSync(join(tmpdir(), 'penstock-folder-blobs-'))
  },
  stop: async () => rmSync(parent, { recursive: true, force: true }),
  clear: async () => {
    rmSync(folder(), { recursive: true, force: true })
    mkdirSync(folder())
  },
  open: () => new FolderBlobs(folder()),
  names: async () =>
    readdirSync(folder(), { recursive: true, encoding: 'utf8' })
      .filter((name) => statSync(join(folder(), name)).isFile())
      .sort(),
}

blobStoreConformance('a folder', subject)

describe('a folder of files', () => {
  test('that went away is not made, and takes files again once it is back', async () => {
    await subject.start()
    await subject.clear()
    const store = subject.open()
    renameSync(folder(), join(parent, 'elsewhere'))
    await expect(store.put('d/f', contentOf('x'), never)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    expect(readdirSync(parent)).toEqual(['elsewhere'])
    renameSync(join(parent, 'elsewhere'), folder())
    await store.put('d/f', contentOf('x'), never)
    await subject.stop()
  })

  test.each(['', '.', '..', 'a/../..', 'x/y'])(
    'takes %o for no upload, and removes nothing of others',
    async (uploadId) => {
      await subject.start()
      await subject.clear()
      const store = subject.open()
      await store.put('d/f', contentOf('x'), never)
      await store.putBlock('u-1', 'b', contentOf('y'), never)
      await expect(store.dropBlocks(uploadId)).rejects.toThrow('the id of an upload is the name of a folder')
      expect(await store.commit('u-1', ['b'], 'd/g', 10)).toEqual({ kind: 'stored', bytes: 1 })
      expect(await store.find('d/f')).toMatchObject({ bytes: 1 })
      await subject.stop()
    },
  )

  test('follows no link that somebody put in the place of a device, a block or a file', async () => {
    await subject.start()
    await subject.clear()
    const store = subject.open()
    const outside = join(parent, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'secret'), 'secret')
    symlinkSync(outside, join(folder(), 'd'))
    await expect(store.put('d/f', contentOf('x'), never)).rejects.toMatchObject({ code: 'ENDPOINT_HELD' })
    mkdirSync(join(folder(), 'e'))
    symlinkSync(join(outside, 'secret'), join(folder(), 'e/f'))
    expect([await store.read('e/f'), await store.find('e/f')]).toEqual([undefined, undefined])
    await store.put('e/f', contentOf('x'), never)
    expect([readdirSync(outside), statSync(join(outside, 'secret')).size]).toEqual([['secret'], 6])
    await subject.stop()
  })
})
