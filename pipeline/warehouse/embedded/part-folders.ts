import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Spreads the parts of each table over the disk, for ext4 without a journal, which images of virtual machines often have.
 *
 * ext4 keeps a folder's files in one block group. Without a journal it passes, for every file it makes, over each inode of the
 * group that was freed within the last minutes. A part is a dozen files or more and merges remove parts all the time, so the
 * group soon is full of such inodes: an insert of one row then costs 18 ms of CPU, and 7 where parts lie in groups of their own.
 * The attribute T of the table's folder (chattr(1), "top of directory hierarchy") gives each part another group. With a journal
 * it changes nothing.
 */
export class PartFolders {
  readonly #store: string
  readonly #spread = new Set<string>()

  /** @param enginePath the engine's folder, in which tables lie as `store/<three digits>/<uuid>` */
  constructor(enginePath: string) {
    this.#store = join(enginePath, 'store')
  }

  /** Sees to tables that are new since the last call. Never throws: other file systems refuse, and only speed is lost. */
  spread(): void {
    if (process.platform !== 'linux') return
    const folders = this.#tableFolders().filter((folder) => !this.#spread.has(folder))
    if (folders.length === 0) return
    for (const folder of folders) this.#spread.add(folder)
    execFile('chattr', ['+T', ...folders], () => {})
  }

  #tableFolders(): string[] {
    try {
      return readdirSync(this.#store).flatMap((group) =>
        readdirSync(join(this.#store, group)).map((table) => join(this.#store, group, table)),
      )
    } catch {
      return [] // no table yet, or one that was just dropped
    }
  }
}
