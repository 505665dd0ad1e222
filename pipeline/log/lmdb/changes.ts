import { type FSWatcher, watch } from 'node:fs'

/**
 * Tells of the next write to an LMDB file, by whatever process: the system sees each, since LMDB writes pages by system calls. It may
 * be told before readers can see the commit, and some file systems tell nothing: it is to be believed once it has told something.
 */
export class LmdbChanges {
  readonly #file: string
  #watcher: FSWatcher | undefined
  #told = false

  constructor(file: string) {
    this.#file = file
  }

  /** The next write will be told, as far as can be known. */
  get reliable(): boolean {
    return this.#told && this.#watcher !== undefined
  }

  /** Calls back at the next write, once. A call before that changes nothing. */
  tellNext(onWrite: () => void): void {
    if (this.#watcher !== undefined) return
    const tell = (): void => {
      this.close()
      onWrite()
    }
    try {
      this.#watcher = watch(this.#file, { persistent: false }, () => {
        this.#told = true
        tell()
      })
      this.#watcher.on('error', () => {
        this.#told = false
        tell()
      })
    } catch {
      // The system watches no more files, or none here.
      this.#told = false
    }
  }

  close(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }
}
