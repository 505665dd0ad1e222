import { closeSync, openSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { assert } from '#runtime/assert.ts'

/** So many files stay for the next inserts; what a burst needs beyond them is removed. */
const keptMax = 16

/**
 * Files in which bodies of inserts wait for the engine, used again and again. ext4 without a journal passes over each inode that
 * was freed within the last minutes whenever it makes a file, and an insert makes a dozen for its part: with a new spool file for
 * each insert, that search took a twelfth of a core at 850,000 rows/s.
 */
export class InsertSpool {
  readonly #folder: string
  readonly #free: string[] = []
  #made = 0

  constructor(folder: string) {
    this.#folder = folder
  }

  /** Writes `chunks` to a file, which is the caller's until it is given back. @throws what the chunks or the disk fail with */
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

  /** Empties a file for the next insert. Never throws what the disk does: a file that cannot be emptied is left out, and removed at the next start. */
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
