import { rmSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { assert } from '#runtime/assert.ts'

/**
 * Yields the bytes of `source` only when all of them are there. Until then they wait in the file `path`. Its name is removed as soon as it
 * is open, so nothing is left of it, whatever happens.
 * @param assertRoom called before each write; what it throws is a fault
 * @param onFault called as soon as the result is bound to fail; `source` is still read to its end
 * @throws the fault, after the end of `source`
 */
export async function* untilWhole(
  source: AsyncIterable<Buffer>,
  path: string,
  assertRoom: () => void,
  onFault: (fault: unknown) => void,
): AsyncGenerator<Buffer, void> {
  let file: FileHandle | undefined
  let fault: unknown
  let byteCount = 0
  try {
    for await (const chunk of source) {
      if (fault !== undefined) continue
      try {
        assertRoom()
        file ??= await openNameless(path)
        await file.appendFile(chunk)
        byteCount += chunk.length
      } catch (error) {
        fault = error
        onFault(error)
      }
    }
    if (fault !== undefined) throw fault
    if (!file) return
    const { size } = await file.stat()
    assert(size === byteCount, `the file of a result of ${byteCount} bytes holds ${size}`)
    yield* file.createReadStream({ start: 0, autoClose: false }) as AsyncIterable<Buffer>
  } finally {
    await file?.close()
  }
}

async function openNameless(path: string): Promise<FileHandle> {
  const file = await open(path, 'wx+', 0o600)
  rmSync(path)
  return file
}
