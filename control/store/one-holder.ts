import { randomUUID } from 'node:crypto'
import type { Database } from './database.ts'

export const holdersMigration = [
  'CREATE TABLE penstock.holders (name text PRIMARY KEY, holder uuid NOT NULL, held_until timestamptz NOT NULL)',
]

/**
 * What one process at a time does, of all that share the store. It bounds work and is no fence: a process that stood still may believe for a
 * moment that it holds what another one has.
 */
export class OneHolder {
  readonly #database: Database
  readonly #name: string
  readonly #heldMs: number
  readonly #holder = randomUUID()

  /** @param heldMs a process that does not ask for so long is taken for gone */
  constructor(database: Database, name: string, heldMs: number) {
    this.#database = database
    this.#name = name
    this.#heldMs = heldMs
  }

  /** Whether it is this process; writes only where that would end soon. @throws STORE_UNAVAILABLE */
  async holds(): Promise<boolean> {
    const [row] = await this.#database.query<{ readonly holds: boolean }>(
      `WITH renewed AS (
         INSERT INTO penstock.holders AS h (name, holder, held_until)
         SELECT $1, $2, now() + $3::float8 * interval '1 millisecond'
         WHERE NOT EXISTS (
           SELECT FROM penstock.holders WHERE name = $1 AND held_until > now() + $3::float8 / 2 * interval '1 millisecond'
         )
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
         WHERE h.holder = excluded.holder OR h.held_until < now()
         RETURNING 1
       ) SELECT EXISTS (SELECT FROM renewed)
         OR EXISTS (SELECT FROM penstock.holders WHERE name = $1 AND holder = $2 AND held_until > now()) AS holds`,
      [this.#name, this.#holder, this.#heldMs],
    )
    return row?.holds ?? false
  }
}
