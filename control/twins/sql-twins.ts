import type { IfMatch } from '#control/identities/identities.ts'
import type { Database, Queries } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { compareIds, type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { ServiceWrites } from './service-writes.ts'
import { notifyTwins } from './twin-notices.ts'
import { tellWritten } from './twin-outbox-rows.ts'
import { held, readTwin, type TwinWrite, type WhereHeld, type WriteOutcome, writeTwins } from './twin-writes.ts'
import type { Alongside, IdentityTwin, TwinOutcomes, TwinPatch, Twins, TwinUpdate } from './twins.ts'

/** What services do with twins, over the control store, which belongs to the caller. */
export class SqlTwins implements Twins {
  readonly #database: Database
  readonly #clock: Clock
  readonly #tellsChanges: boolean
  readonly #writes: ServiceWrites

  /** @param tellsChanges each change becomes an event of the outbox */
  constructor(database: Database, clock: Clock, tellsChanges: boolean) {
    this.#database = database
    this.#clock = clock
    this.#tellsChanges = tellsChanges
    this.#writes = new ServiceWrites((writes) => this.#writeTogether(writes), clock)
  }

  get(id: IdentityId): Promise<IdentityTwin> {
    return readTwin(this.#database, id)
  }

  update(id: IdentityId, patch: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#writes.write({ id, kind: 'patch', patch, ifMatch })
  }

  replace(id: IdentityId, sections: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#writes.write({ id, kind: 'replace', patch: sections, ifMatch })
  }

  updateAll(updates: readonly TwinUpdate[], alongside?: Alongside): Promise<TwinOutcomes> {
    return this.#database.transaction(async (queries) => {
      const outcomes = await this.updateWithin(queries, updates)
      await alongside?.(queries, outcomes)
      return outcomes
    })
  }

  async updateWithin(queries: Queries, updates: readonly TwinUpdate[]): Promise<TwinOutcomes> {
    // In order of their ids, so that two writers wait for one another and not in a deadlock.
    const ordered = updates
      .map((update, place) => ({ ...update, kind: 'patch', place }) as const)
      .toSorted((left, right) => compareIds(left.id, right.id))
    const outcomes: (Error | undefined)[] = updates.map(() => undefined)
    for (let from = 0; from < ordered.length; from += limits.twinWritesAtOnceMax) {
      const writes = ordered.slice(from, from + limits.twinWritesAtOnceMax)
      for (const [index, outcome] of (await this.#write(queries, writes, 'waits')).entries())
        if (outcome instanceof Error) outcomes[writes[index]?.place ?? 0] = outcome
    }
    return outcomes
  }

  /** @returns `held` for the later writes of a twin, too, once it was for one */
  async #writeTogether(writes: readonly TwinWrite[]): Promise<readonly (WriteOutcome | Error)[]> {
    try {
      return await this.#database.transaction((queries) => this.#write(queries, writes, 'leaves out'))
    } catch (error) {
      if (writes.length === 1 || isPenstockError(error)) throw error
      // The store refused one of them, which it should not: the others are not refused with it.
      const outcomes: (WriteOutcome | Error)[] = []
      const heldTwins = new Set<string>()
      for (const write of writes) {
        const text = identityText(write.id)
        const [outcome = held] = heldTwins.has(text)
          ? [held]
          : await this.#writeTogether([write]).catch((one: Error) => [one])
        if (outcome === held) heldTwins.add(text)
        outcomes.push(outcome)
      }
      return outcomes
    }
  }

  async #write(queries: Queries, writes: readonly TwinWrite[], whereHeld: WhereHeld): Promise<readonly WriteOutcome[]> {
    const nowMs = this.#clock.nowMs()
    const outcomes = await writeTwins(queries, writes, nowMs, whereHeld)
    const written = writes.flatMap((write, index) => {
      const after = outcomes[index]
      return after === undefined || after === held || after instanceof Error ? [] : [{ ...write, after }]
    })
    if (this.#tellsChanges) await tellWritten(queries, written, nowMs)
    const desired = written.filter(({ patch }) => patch.desired !== undefined)
    await notifyTwins(
      queries,
      desired.map(({ id, after }) => ({ ...id, version: after.twin.desired.version })),
    )
    return outcomes
  }
}
