import { closeSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '#runtime/assert.ts'

/** So many files are kept for the next inserts. Files that a burst needs beyond them are removed. */
const keptMax = 16

/**
 * Files in which bodies of inserts wait for the engine. They are reused. Whenever ext4 without a journal creates a file, it skips each inode
 * that was freed within the last minutes, and an insert creates a dozen files for its part. With a new spool file for each insert, that
 * search took a twelfth of a core at 850,000 rows/s.
 */
export class InsertSpool {
  readonly #folder: string
  readonly #free: string[] = []
  #made = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Writes `chunks` to a file, which the caller owns until it gives it back. @throws the fault of the chunks or the disk */
  async write(chunks: AsyncIterable<Uint8Array>): Promise<string> {
    const path = this.#free.pop() ?? join(this.#folder, `insert-${this.#made++}`)
    let bytes = 0
    try {
      const descriptor = openSync(path, 'w', 0o600)
      try {
        for await (const chunk of chunks) {
          writeWhole(descriptor, chunk)
          bytes += chunk.length
        }
      } finally {
        closeSync(descriptor)
      }
      const bytesKept = statSync(path).size
      assert(bytesKept === bytes, `the spool keeps ${bytes} bytes of an insert, not ${bytesKept}`)
      return path
    } catch (error) {
      this.give(path)
      throw error
    }
  }

  /** Empties a file for the next insert. Never throws: a file that cannot be emptied is not reused, and is removed at the next start. */
  give(path: string): void {
    // Two inserts would be written into one file.
    assert(!this.#free.includes(path), 'a file is given back once')
    try {
      if (this.#free.length < keptMax) {
        truncateSync(path, 0)
        this.#free.push(path)
      } else rmSync(path)
    } catch {}
  }
}

function writeWhole(descriptor: number, chunk: Uint8Array): void {
  for (let written = 0; written < chunk.length; ) {
    const bytes = writeSync(descriptor, chunk, written)
    assert(
      bytes > 0 && written + bytes <= chunk.length,
      `a write of ${chunk.length - written} bytes takes some of them`,
    )
    written += bytes
  }
}
