import type { IfMatch } from '#control/identities/identities.ts'
import type { Database, Queries } from '#control/store/database.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import type { Clock } from '#runtime/clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { compareIds, type IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { notifyTwins } from './twin-notices.ts'
import { tellWritten } from './twin-outbox-rows.ts'
import { readTwin, type TwinWrite, type WriteOutcome, writeTwins } from './twin-writes.ts'
import type { Alongside, IdentityTwin, TwinOutcomes, TwinPatch, Twins, TwinUpdate } from './twins.ts'

/** What services do with twins, over the control store, which belongs to the caller. */
export class SqlTwins implements Twins {
  readonly #database: Database
  readonly #clock: Clock
  readonly #tellsChanges: boolean
  /** Of many services at once: a write costs a handful of statements, and together they cost as many. */
  readonly #batches: CallBatches<TwinWrite, IdentityTwin | Error>

  /** @param tellsChanges each change becomes an event of the outbox */
  constructor(database: Database, clock: Clock, tellsChanges: boolean) {
    this.#database = database
    this.#clock = clock
    this.#tellsChanges = tellsChanges
    this.#batches = new CallBatches({
      run: (writes) => this.#writeTogether(writes),
      countMax: limits.twinWritesAtOnceMax,
    })
  }

  get(id: IdentityId): Promise<IdentityTwin> {
    return readTwin(this.#database, id)
  }

  update(id: IdentityId, patch: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#writeOne({ id, kind: 'patch', patch, ifMatch })
  }

  replace(id: IdentityId, sections: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin> {
    return this.#writeOne({ id, kind: 'replace', patch: sections, ifMatch })
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
      for (const [index, outcome] of (await this.#write(queries, writes)).entries())
        if (outcome instanceof Error) outcomes[writes[index]?.place ?? 0] = outcome
    }
    return outcomes
  }

  async #writeOne(write: TwinWrite): Promise<IdentityTwin> {
    const outcome = await this.#batches.call(write)
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  async #writeTogether(writes: readonly TwinWrite[]): Promise<readonly (IdentityTwin | Error)[]> {
    try {
      return await this.#database.transaction((queries) => this.#write(queries, writes))
    } catch (error) {
      if (writes.length === 1 || isPenstockError(error)) throw error
      // The store refused one of them, which it should not: the others are not refused with it.
      const outcomes: (IdentityTwin | Error)[] = []
      for (const write of writes) outcomes.push(...(await this.#writeTogether([write]).catch((one: Error) => [one])))
      return outcomes
    }
  }

  async #write(queries: Queries, writes: readonly TwinWrite[]): Promise<readonly WriteOutcome[]> {
    const nowMs = this.#clock.nowMs()
    const outcomes = await writeTwins(queries, writes, nowMs)
    const written = writes.flatMap((write, index) => {
      const after = outcomes[index]
      return after === undefined || after instanceof Error ? [] : [{ ...write, after }]
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
