/**
 * Objects as files below a folder.
 *
 *   .parts/<random>   written and synced ─▶ linked to its name, unless that is there ─▶ removed ─▶ folders synced
 *
 * A link appears at once and replaces nothing, as a rename would. A crash leaves at most a file in `.parts`, which is swept later, or a name
 * that no folder was synced for: `has` syncs before it says that a file is there.
 *
 * The folder itself is never made: where a disk is not mounted, files would fill the one below it.
 */
import { randomUUID } from 'node:crypto'
import { access, constants, link, lstat, mkdir, realpath, stat, unlink } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import { held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { ObjectStore } from '../objects/object-store.ts'
import { codeOf, entriesOf, falseIfAbsent, faultOf, syncFolder, writeSynced } from './synced-files.ts'

/** No name of an object begins so. */
const partsFolder = '.parts'
const mayWrite = constants.R_OK | constants.W_OK | constants.X_OK

export class FileStore implements ObjectStore {
  readonly #root: string
  readonly #allowed: readonly string[]

  /** @param folder absolute @param allowed folders in and below which it must lie, wherever links lead */
  constructor(folder: string, allowed: readonly string[]) {
    this.#root = resolve(folder)
    this.#allowed = allowed
  }

  async put(name: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
    await this.#translated(async () => {
      const file = join(this.#root, name)
      // Making folders would only say that one is missing.
      await access(this.#root, mayWrite)
      await this.#makeFolder(dirname(file))
      await this.#makeFolder(join(this.#root, partsFolder))
      const part = join(this.#root, partsFolder, randomUUID())
      try {
        await writeSynced(part, content, ended)
        if (ended.aborted) throw unavailable('the file was not written in time', 'Timeout')
        await linkUnlessThere(part, file)
      } finally {
        await unlink(part).catch(() => undefined)
      }
      await this.#syncFolders(file)
    })
  }

  async has(name: string): Promise<boolean> {
    return await this.#translated(async () => {
      await stat(this.#root)
      const file = join(this.#root, name)
      const isThere = await lstat(file).then(
        (found) => found.isFile(),
        (error) => falseIfAbsent(error),
      )
      // Whoever linked it may have ended before the folders were synced.
      if (isThere) await this.#syncFolders(file)
      return isThere
    })
  }

  async *list(prefix: string): AsyncGenerator<string> {
    await this.#translated(() => stat(this.#root))
    const deepest = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    for await (const file of this.#filesBelow(join(this.#root, deepest))) {
      const name = relative(this.#root, file).replaceAll(sep, '/')
      if (name.startsWith(prefix)) yield name
    }
  }

  async accepts(): Promise<boolean> {
    return await access(this.#root, mayWrite).then(
      () => true,
      () => false,
    )
  }

  async sweep(_prefix: string, _isOwn: unknown, ageMsMin: number): Promise<void> {
    await this.#translated(async () => {
      const folder = join(this.#root, partsFolder)
      for (const { name } of await entriesOf(folder)) {
        const part = join(folder, name)
        const found = await lstat(part).catch(() => undefined)
        if (found?.isFile() === true && Date.now() - found.mtimeMs > ageMsMin) await unlink(part).catch(() => undefined)
      }
    })
  }

  async close(): Promise<void> {}

  /** A folder below the root, whose path leads nowhere else: whoever may write there may have put a link in its place. */
  async #makeFolder(folder: string): Promise<void> {
    const root = await realpath(this.#root)
    const allowed = await Promise.all(this.#allowed.map((each) => realpath(each).catch(() => each)))
    if (!isWithin(root, allowed)) throw held(notAllowed(this.#root), 'Unauthorized')
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const real = await realpath(folder)
    if (real !== join(root, relative(this.#root, folder)))
      throw held(`${folder} is a link to another place, and is not followed`, 'Unauthorized')
  }

  /** Of a file and of each folder that may have been made for it. */
  async #syncFolders(file: string): Promise<void> {
    for (let folder = dirname(file); ; folder = dirname(folder)) {
      await syncFolder(folder)
      if (folder === this.#root || folder.length <= this.#root.length) return
    }
  }

  async *#filesBelow(folder: string): AsyncGenerator<string> {
    for (const entry of await this.#translated(() => entriesOf(folder))) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && entry.name !== partsFolder) yield* this.#filesBelow(path)
      else if (entry.isFile()) yield path
    }
  }

  async #translated<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action()
    } catch (error) {
      if (isPenstockError(error)) throw error
      throw faultOf(error, this.#root)
    }
  }
}

/** Both as they are without links. */
export function isWithin(folder: string, allowed: readonly string[]): boolean {
  return allowed.some((each) => {
    const path = relative(each, folder)
    return path !== '..' && !path.startsWith(`..${sep}`)
  })
}

export function notAllowed(folder: string): string {
  return `${folder} is not below a folder that PENSTOCK_ENDPOINTS_FOLDERS names`
}

async function linkUnlessThere(part: string, file: string): Promise<void> {
  try {
    await link(part, file)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}
