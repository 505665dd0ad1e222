/** Files of a backup: written once, each with its size and checksum, and looked at again by them. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join, sep } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { PenstockError } from '#schemas/errors.ts'
import type { BackupFile } from './manifest.ts'

export class BackupFiles {
  readonly folder: string
  readonly #files: BackupFile[] = []

  /** @param folder exists and is empty */
  constructor(folder: string) {
    this.folder = folder
  }

  get files(): readonly BackupFile[] {
    return this.#files
  }

  /** @param path below the folder */
  async write(path: string, content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
    const target = join(this.folder, path)
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 })
    const measure = new Measure()
    await pipeline(Readable.from(content), measure, createWriteStream(target, { flags: 'wx', mode: 0o600 }))
    this.#files.push({ path, ...measure.result() })
  }

  async copy(source: string, path: string): Promise<void> {
    await this.write(path, createReadStream(source))
  }

  /** All files below `source`, under `path`. Links and sockets are left out: none of these is data. */
  async copyFolder(source: string, path: string): Promise<void> {
    for (const file of filesBelow(source)) await this.copy(join(source, file), `${path}/${file}`)
  }

  /** What others have written below the folder at `path`. */
  async add(path: string): Promise<void> {
    for (const file of filesBelow(join(this.folder, path)))
      this.#files.push({ path: `${path}/${file}`, ...(await measured(join(this.folder, path, file))) })
  }

  /** Resolves once all of it is on disk. */
  async sync(): Promise<void> {
    await onDisk(this.folder)
  }
}

/** Resolves once all that was written below the folder is on disk. */
export async function onDisk(folder: string): Promise<void> {
  // One call of the whole file system: the parts of tables are thousands of small files.
  await promisify(execFile)('sync', ['-f', folder])
}

/** Passes bytes on, and knows afterwards what they were. */
class Measure extends Transform {
  readonly #hash = createHash('sha256')
  #bytes = 0

  override _transform(chunk: Buffer, _: BufferEncoding, done: (error: null, data: Buffer) => void): void {
    this.#hash.update(chunk)
    this.#bytes += chunk.length
    done(null, chunk)
  }

  result(): Omit<BackupFile, 'path'> {
    return { bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }
}

async function measured(file: string): Promise<Omit<BackupFile, 'path'>> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(file)) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Paths below `folder`, parts joined by slashes. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(folder.length + 1)
        .split(sep)
        .join('/'),
    )
    .sort()
}

/** @throws BACKUP_INCOMPLETE, BACKUP_DAMAGED: the first file that is not as it was written */
export async function verifyFiles(folder: string, files: readonly BackupFile[]): Promise<void> {
  for (const { path, bytes, sha256 } of files) {
    const file = join(folder, path)
    if (path.split('/').includes('..')) throw new PenstockError('BACKUP_DAMAGED', `${path} leads out of the backup`)
    if (!existsSync(file)) throw new PenstockError('BACKUP_INCOMPLETE', `${path} is missing`)
    const size = lstatSync(file).size
    if (size !== bytes) throw new PenstockError('BACKUP_DAMAGED', `${path} has ${size} bytes, not ${bytes}`)
    if ((await measured(file)).sha256 !== sha256)
      throw new PenstockError('BACKUP_DAMAGED', `${path} is not as it was written: its checksum differs`)
  }
}
