import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { BlobStore } from './blob-store.ts'

const mebibyte = 1024 * 1024
const bytesMax = 100 * mebibyte
const never = new AbortController().signal

export interface BlobStoreSubject {
  readonly start: () => Promise<void>
  readonly stop: () => Promise<void>
  /** Empties the place. */
  readonly clear: () => Promise<void>
  readonly open: () => BlobStore
  /** All that lies there. */
  readonly names: () => Promise<readonly string[]>
}

export async function* contentOf(...pieces: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield Buffer.from(piece)
}

async function bytesOf(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of content) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** What every place of files does. */
export function blobStoreConformance(name: string, subject: BlobStoreSubject): void {
  describe(`files in ${name}`, () => {
    let store: BlobStore
    let upload: string

    beforeAll(subject.start)
    afterAll(async () => {
      await store?.close()
      await subject.stop()
    })
    beforeEach(async () => {
      await store?.close()
      await subject.clear()
      store = subject.open()
      upload = randomUUID()
    })

    const read = async (key: string): Promise<string | undefined> => {
      const found = await store.read(key)
      return found && (await bytesOf(found.content)).toString()
    }
    const putBlocks = async (...ids: readonly string[]): Promise<void> => {
      for (const id of ids) await store.putBlock(upload, id, contentOf(`<${id}>`), never)
    }

    test('what was put is there, and what is put again takes its place', async () => {
      expect([await store.find('d/f'), await store.read('d/f')]).toEqual([undefined, undefined])
      await store.put('d/f', contentOf('one', ''), never)
      await store.put('d/f', contentOf('two', ' and three'), never)
      expect(await read('d/f')).toBe('two and three')
      const found = await store.find('d/f')
      expect(found?.bytes).toBe(13)
      expect(Math.abs((found?.changedAtMs ?? 0) - Date.now())).toBeLessThan(60_000)
      await store.put('d/empty', contentOf(), never)
      expect([await read('d/empty'), (await store.find('d/empty'))?.bytes]).toEqual(['', 0])
    })

    test('of a file a part is read, and its length told with it', async () => {
      await store.put('d/f', contentOf('0123456789'), never)
      for (const [first, last, expected] of [
        [0, 0, '0'],
        [3, 6, '3456'],
        [9, 9, '9'],
        [0, 9, '0123456789'],
      ] as const) {
        const found = await store.read('d/f', { first, last })
        expect([found?.bytes, String(await bytesOf(found?.content ?? contentOf()))]).toEqual([10, expected])
      }
      expect(await store.read('d/g', { first: 0, last: 0 })).toBe(undefined)
    })

    test('blocks become a file in the order of the list, each as often as it says', async () => {
      await putBlocks('a', 'b/../../c', 'b')
      expect(await store.commit(upload, ['b', 'a', 'b/../../c', 'a'], 'd/f', bytesMax)).toEqual({
        kind: 'stored',
        bytes: 3 + 3 + 11 + 3,
      })
      expect(await read('d/f')).toBe('<b><a><b/../../c><a>')
      await store.putBlock(upload, 'a', contentOf('new'), never)
      await store.commit(upload, ['a'], 'd/f', bytesMax)
      expect(await read('d/f')).toBe('new')
      await store.commit(upload, [], 'd/f', bytesMax)
      expect(await read('d/f')).toBe('')
    })

    test('blocks of an upload are no other’s, and nothing is made where one is missing or they are too long', async () => {
      await putBlocks('a', 'b')
      expect(await store.commit(randomUUID(), ['a'], 'd/f', bytesMax)).toEqual({ kind: 'incomplete' })
      expect(await store.commit(upload, ['a', 'c'], 'd/f', bytesMax)).toEqual({ kind: 'incomplete' })
      expect(await store.commit(upload, ['a', 'b'], 'd/f', 5)).toEqual({ kind: 'too large' })
      expect(await store.find('d/f')).toBe(undefined)
      expect((await store.commit(upload, ['a', 'b'], 'd/f', 6)).kind).toBe('stored')
    })

    test('what breaks off leaves what was there, and nothing of itself', async () => {
      async function* broken(): AsyncGenerator<Uint8Array> {
        yield Buffer.alloc(11 * mebibyte)
        throw new Error('the device is gone')
      }
      await store.put('d/f', contentOf('old'), never)
      await expect(store.put('d/f', broken(), never)).rejects.toThrow('the device is gone')
      await expect(store.putBlock(upload, 'a', broken(), never)).rejects.toThrow('the device is gone')
      expect(await read('d/f')).toBe('old')
      expect(await store.commit(upload, ['a'], 'd/f', bytesMax)).toEqual({ kind: 'incomplete' })
      expect(await subject.names()).toEqual(['d/f'])
    })

    test('a file of many megabytes is what its blocks were', async () => {
      const blocks = ['x', 'y', 'z'].map((fill) => Buffer.alloc(4 * mebibyte, fill))
      for (const [index, block] of blocks.entries())
        await store.putBlock(upload, String(index), contentOf(block), never)
      expect(await store.commit(upload, ['0', '1', '2'], 'd/f', bytesMax)).toEqual({
        kind: 'stored',
        bytes: 12 * mebibyte,
      })
      const found = await store.read('d/f')
      expect((await bytesOf(found?.content ?? contentOf())).equals(Buffer.concat(blocks))).toBe(true)
    })

    test('blocks go with their upload, or once they are old; files stay, and all of it is measured', async () => {
      await store.put('d/f', contentOf('12345'), never)
      await putBlocks('a', 'b')
      expect(await store.measure()).toBe(5 + 6)
      await store.sweep(60_000)
      expect(await store.measure()).toBe(5 + 6)
      await store.dropBlocks(upload)
      await store.dropBlocks(upload)
      expect(await store.measure()).toBe(5)
      await putBlocks('a')
      await store.sweep(-60_000)
      expect(await subject.names()).toEqual(['d/f'])
    })
  })
}
