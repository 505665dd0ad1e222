import type { PGlite, Transaction } from '@electric-sql/pglite'
import { makePrivateFolder, shutToOthers } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Database, Queries, SqlRow, SqlValue } from './database.ts'
import { lockStore } from './store-lock.ts'

/**
 * PostgreSQL in WebAssembly, in this process. One connection: statements run one after another, and one process at a time
 * owns the folder. A killed process loses nothing that was committed; a power failure may lose the last moments.
 * @param folder where it keeps its files; `undefined`: in memory, for tests
 * @throws PenstockError DEPENDENCY_MISSING, STORE_LOCKED
 */
export async function openPgliteDatabase(folder: string | undefined): Promise<Database> {
  if (folder !== undefined) makePrivateFolder(folder)
  const unlock = folder === undefined ? () => {} : await lockStore(`${folder}.lock`)
  try {
    const store = await (await loadPglite()).create(folder ?? 'memory://')
    // It gives its first files the mode 0666, whatever the process says of new ones; until here their folder shuts them.
    if (folder !== undefined) shutToOthers(folder)
    return new PgliteDatabase(store, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

async function loadPglite(): Promise<typeof PGlite> {
  try {
    return (await import('@electric-sql/pglite')).PGlite
  } catch (cause) {
    throw new PenstockError(
      'DEPENDENCY_MISSING',
      'the embedded control store needs the optional dependency @electric-sql/pglite; or set PENSTOCK_POSTGRES_URL',
      { cause },
    )
  }
}

class PgliteDatabase implements Database {
  readonly #store: PGlite
  readonly #unlock: () => void
  #closed = false

  constructor(store: PGlite, unlock: () => void) {
    this.#store = store
    this.#unlock = unlock
  }

  async query<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    this.#assertOpen()
    return rowsOf<Row>(this.#store, sql, parameters)
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    this.#assertOpen()
    return this.#store.transaction((transaction) =>
      work({ query: (sql, parameters = []) => rowsOf(transaction, sql, parameters) }),
    )
  }

  /** Nothing can be missed inside one process, so `onGap` is never called. */
  async listen(
    channels: readonly string[],
    onPayload: (payload: string, channel: string) => void,
  ): Promise<() => Promise<void>> {
    this.#assertOpen()
    const unlistens: (() => Promise<void>)[] = []
    for (const channel of channels)
      unlistens.push(await this.#store.listen(channel, (payload) => onPayload(payload, channel)))
    return async () => {
      for (const unlisten of unlistens) if (!this.#closed) await unlisten()
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#store.close()
    } finally {
      this.#unlock()
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('STORE_UNAVAILABLE', 'the control store is closed')
  }
}

async function rowsOf<Row extends SqlRow>(
  store: PGlite | Transaction,
  sql: string,
  parameters: readonly SqlValue[],
): Promise<Row[]> {
  return (await store.query<Row>(sql, [...parameters])).rows
}
