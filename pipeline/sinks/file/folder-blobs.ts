/**
 * Files of devices below a folder.
 *
 *   _uploads/parts/<random>            written and synced ─▶ renamed to its place ─▶ folder synced
 *   _uploads/<upload id>/<block>       until the upload ends, or nobody adds to it for long
 *   <device>/<file>
 *
 * The folder itself is never made: where a disk is not mounted, files would fill the one below it.
 */
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { access, lstat, mkdir, open, realpath, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { blockKey, uploadFolder } from '#pipeline/blobs/blob-key.ts'
import {
  type BlobContent,
  type BlobPart,
  type BlobStore,
  type Committed,
  type StoredBlob,
  uploadsFolder,
} from '#pipeline/blobs/blob-store.ts'
import { held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { joinedTo } from '../objects/joined-blocks.ts'
import { codeOf, entriesOf, falseIfAbsent, faultOf, syncFolder, writeSynced } from './synced-files.ts'

const partsFolder = 'parts'
const readBytes = 256 * 1024
const mayWrite = constants.R_OK | constants.W_OK | constants.X_OK
const never = new AbortController().signal

export class FolderBlobs implements BlobStore {
  readonly #root: string
  readonly #uploads: string
  readonly #parts: string

  constructor(folder: string) {
    this.#root = resolve(folder)
    this.#uploads = join(this.#root, uploadsFolder)
    this.#parts = join(this.#uploads, partsFolder)
  }

  async putBlock(
    uploadId: string,
    blockId: string,
    content: AsyncIterable<Uint8Array>,
    ended: AbortSignal,
  ): Promise<void> {
    await this.#write(join(this.#uploads, uploadFolder(uploadId), blockKey(blockId)), content, ended)
  }

  async put(key: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await this.#write(join(this.#root, key), content, ended)
  }

  async commit(uploadId: string, blockIds: readonly string[], key: string, bytesMax: number): Promise<Committed> {
    const blocks = blockIds.map((blockId) => join(this.#uploads, uploadFolder(uploadId), blockKey(blockId)))
    let bytes = 0
    for (const block of blocks) {
      const found = await this.#stored(block)
      if (found === undefined) return { kind: 'incomplete' }
      bytes += found.bytes
    }
    if (bytes > bytesMax) return { kind: 'too large' }
    await this.#write(join(this.#root, key), joinedTo(bytes, joined(blocks)), never)
    return { kind: 'stored', bytes }
  }

  find(key: string): Promise<StoredBlob | undefined> {
    return this.#stored(join(this.#root, key))
  }

  async read(key: string, part?: BlobPart): Promise<BlobContent | undefined> {
    return await this.#translated(async () => {
      const handle = await open(join(this.#root, key), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
        undefinedIfAbsent,
      )
      if (handle === undefined) return undefined
      const { size, mtimeMs } = await handle.stat()
      const bounds = part && { start: part.first, end: part.last }
      const content = handle.createReadStream({ highWaterMark: readBytes, ...bounds })
      return { bytes: size, changedAtMs: mtimeMs, content }
    })
  }

  async dropBlocks(uploadId: string): Promise<void> {
    await this.#translated(() => rm(join(this.#uploads, uploadFolder(uploadId)), { recursive: true, force: true }))
  }

  async sweep(ageMsMin: number): Promise<void> {
    await this.#translated(async () => {
      for (const [folder, kept] of [
        [this.#parts, ''],
        [this.#uploads, partsFolder],
      ] as const)
        for (const { name } of await entriesOf(folder)) {
          const path = join(folder, name)
          const found = name === kept ? undefined : await lstat(path).catch(undefinedIfAbsent)
          if (found !== undefined && Date.now() - found.mtimeMs > ageMsMin)
            await rm(path, { recursive: true, force: true })
        }
    })
  }

  async measure(): Promise<number> {
    return await this.#translated(() => bytesBelow(this.#root))
  }

  async close(): Promise<void> {}

  async #write(file: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await this.#translated(async () => {
      // Making folders would only say that one is missing.
      await access(this.#root, mayWrite)
      await this.#makeFolder(dirname(file))
      await this.#makeFolder(this.#parts)
      const part = join(this.#parts, randomUUID())
      try {
        await writeSynced(part, content, ended)
        if (ended.aborted) throw unavailable('the file was not written in time', 'Timeout')
        await rename(part, file)
      } finally {
        await unlink(part).catch(() => undefined)
      }
      await syncFolder(dirname(file))
    })
  }

  /** Two levels deep at most. Whoever may write here may have put a link in its place, which is not followed. */
  async #makeFolder(folder: string): Promise<void> {
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    const expected = join(await realpath(this.#root), folder.slice(this.#root.length))
    if ((await realpath(folder)) !== expected)
      throw held(`${folder} is a link to another place, and is not followed`, 'Unauthorized')
    if (made !== undefined) await syncFolder(dirname(made))
  }

  async #stored(file: string): Promise<StoredBlob | undefined> {
    return await this.#translated(async () => {
      const found = await lstat(file).catch(undefinedIfAbsent)
      return found?.isFile() === true ? { bytes: found.size, changedAtMs: found.mtimeMs } : undefined
    })
  }

  async #translated<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      throw isPenstockError(error) ? error : faultOf(error, this.#root)
    }
  }
}

async function* joined(files: readonly string[]): AsyncGenerator<Buffer> {
  for (const file of files) {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
    yield* handle.createReadStream({ highWaterMark: readBytes })
  }
}

async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) bytes += await bytesBelow(path)
    else if (entry.isFile()) bytes += (await lstat(path).catch(undefinedIfAbsent))?.size ?? 0
  }
  return bytes
}

function undefinedIfAbsent(error: unknown): undefined {
  if (codeOf(error) === 'ELOOP') return undefined
  falseIfAbsent(error)
  return undefined
}
