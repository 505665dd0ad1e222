import type { IfMatch } from '#control/identities/identities.ts'
import type { Database, Queries } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { notifyTwins } from './twin-notices.ts'
import { tellWritten } from './twin-outbox-rows.ts'
import { readTwin, type WriteKind, writeTwin } from './twin-writes.ts'
import type { Alongside, IdentityTwin, TwinOutcomes, TwinPatch, Twins, TwinUpdate } from './twins.ts'

/** What services do with twins, over the control store, which belongs to the caller. */
export class SqlTwins implements Twins {
  readonly #database: Database
  readonly #clock: Clock
  readonly #tellsChanges: boolean

  /** @param tellsChanges each change becomes an event of the outbox */
  constructor(database: Database, clock: Clock, tellsChanges: boolean) {
    this.#database = database
    this.#clock = clock
    this.#tellsChanges = tellsChanges
  }

  get(id: IdentityId): Promise<IdentityTwin> {
    return readTwin(this.#database, id)
  }

  update(id: IdentityId, patch: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#database.transaction((queries) => this.#write(queries, id, 'patch', patch, ifMatch))
  }

  replace(id: IdentityId, sections: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#database.transaction((queries) => this.#write(queries, id, 'replace', sections, ifMatch))
  }

  updateAll(updates: readonly TwinUpdate[], alongside?: Alongside): Promise<TwinOutcomes> {
    return this.#database.transaction(async (queries) => {
      const outcomes: (Error | undefined)[] = []
      for (const { id, patch, ifMatch } of updates) {
        try {
          await this.#write(queries, id, 'patch', patch, ifMatch)
          outcomes.push(undefined)
        } catch (error) {
          if (!isPenstockError(error) || error.disposition !== 'reject') throw error
          outcomes.push(error)
        }
      }
      await alongside?.(queries, outcomes)
      return outcomes
    })
  }

  async #write(
    queries: Queries,
    id: IdentityId,
    kind: WriteKind,
    patch: TwinPatch,
    ifMatch: IfMatch,
  ): Promise<IdentityTwin> {
    const nowMs = this.#clock.nowMs()
    const written = await writeTwin(queries, id, kind, patch, ifMatch, nowMs)
    if (this.#tellsChanges) await tellWritten(queries, id, kind, patch, written, nowMs)
    if (patch.desired !== undefined) await notifyTwins(queries, [{ ...id, version: written.twin.desired.version }])
    return written
  }
}
