import type { PGlite } from '@electric-sql/pglite'
import { makePrivateFolder, shutToOthers } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import { analyzeGrown } from './analyze-grown.ts'
import type { Database, Queries, SqlRow, SqlValue } from './database.ts'
import { lockStore } from './store-lock.ts'
import { vacuumChurned } from './vacuum-churned.ts'

/** Rows written between two looks at whether a table has grown. */
const writtenRowsMax = 2_000

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
  /** Since tables were last looked at; the first statement looks at them as they were left. */
  #writtenRows = writtenRowsMax
  #closed = false

  constructor(store: PGlite, unlock: () => void) {
    this.#store = store
    this.#unlock = unlock
  }

  async query<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    this.#assertOpen()
    const { rows, affectedRows = 0 } = await this.#store.query<Row>(sql, [...parameters])
    await this.#written(affectedRows)
    return rows
  }

  async transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T> {
    this.#assertOpen()
    let written = 0
    const result = await this.#store.transaction((transaction) =>
      work({
        async query<Row extends SqlRow>(sql: string, parameters: readonly SqlValue[] = []) {
          const { rows, affectedRows = 0 } = await transaction.query<Row>(sql, [...parameters])
          written += affectedRows
          return rows
        },
      }),
    )
    await this.#written(written)
    return result
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

  async #written(rows: number): Promise<void> {
    this.#writtenRows += rows
    if (this.#writtenRows < writtenRowsMax || this.#closed) return
    this.#writtenRows = 0
    const queries: Queries = {
      query: async (sql, parameters = []) => (await this.#store.query<never>(sql, [...parameters])).rows,
    }
    await analyzeGrown(queries)
    await vacuumChurned(queries)
  }

  #assertOpen(): void {
    if (this.#closed) throw new PenstockError('STORE_UNAVAILABLE', 'the control store is closed')
  }
}
