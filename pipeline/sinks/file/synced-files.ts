/** What stores of files on a file system have in common. */
import type { Dirent } from 'node:fs'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { held, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { assert } from '#runtime/assert.ts'

/** A new file; it may be cut short where `ended` was aborted. */
export async function writeSynced(part: string, content: AsyncIterable<Uint8Array>, ended: AbortSignal): Promise<void> {
  // "wx": nothing that is there is written to, and no link is followed.
  const handle = await open(part, 'wx', 0o600)
  try {
    for await (const chunk of content) {
      if (ended.aborted) return
      await writeWhole(handle, chunk)
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeWhole(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, written)
    assert(bytesWritten > 0, 'a write that succeeds writes something')
    written += bytesWritten
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** None for a folder that is not there, or was none. */
export async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true })
  } catch (error) {
    falseIfAbsent(error)
    return []
  }
}

export function falseIfAbsent(error: unknown): false {
  if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error
  return false
}

export const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? ''

/** What the file system needs repair for; with anything else, a full disk above all, the same is tried again. */
const needsRepair: Readonly<Record<string, string>> = {
  ENOENT: 'is not there',
  ENOTDIR: 'is no folder',
  EACCES: 'may not be written by this user',
  EPERM: 'does not allow this user to write, or has no links',
  ENOTSUP: 'lies in a file system without links',
  EROFS: 'is read-only',
  ELOOP: 'is a link that leads to itself',
  ENAMETOOLONG: 'makes names that are too long',
}

/** What kept a folder from being used, as endpoints tell it; what is no fault of the file system stays as it is. */
export function faultOf(error: unknown, folder: string): unknown {
  const code = codeOf(error)
  // Others are not the system's, but of this program.
  if (typeof (error as NodeJS.ErrnoException).errno !== 'number') return error
  const repair = needsRepair[code]
  if (repair !== undefined)
    return held(`${folder} ${repair} (${code})`, code === 'ENOENT' ? 'NotFound' : 'Unauthorized')
  return unavailable(`${folder} took no file: ${code}`, 'InternalError')
}
