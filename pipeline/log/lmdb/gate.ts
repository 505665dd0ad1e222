import { join } from 'node:path'
import { assert } from '#runtime/assert.ts'

/**
 * Lets one process at a time open the log's environment or write to it.
 *
 * LMDB as `lmdb` 3.5.6 carries it (`mdb_env_open2` in its mdb.c) reads the newest transaction's number from the file while it opens, and
 * a moment later stores it as the number that all processes share. What another process has committed between the two is then
 * forgotten: the next writer begins from the transaction before, overwrites confirmed records, or takes pages that are in use.
 * So nobody may commit while anybody opens.
 *
 * The lock is the write lock of a second, empty environment. Nothing is ever written there, so its own number can't go back, and the
 * lock is freed when its holder is killed. It stays open until the process ends, because closing would destroy the lock under
 * a process that just opens it. Cost: some microseconds a group of writes.
 */
export class LmdbGate {
  readonly #env: { transactionSync(action: () => void): void }

  constructor(lmdb: typeof import('lmdb'), folder: string) {
    this.#env = lmdb.open({ path: join(folder, 'gate.mdb'), noSubdir: true, overlappingSync: false, cache: false })
  }

  /** Waits until no other process is inside, and runs `action`. */
  within<T>(action: () => T): T {
    const result: T[] = []
    this.#env.transactionSync(() => {
      result.push(action())
    })
    assert(result.length === 1, `what is done within the gate is done once, and not ${result.length} times`)
    return result[0] as T
  }
}
