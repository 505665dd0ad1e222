/**
 * What services write to twins, of many at once in one transaction:
 *
 *   write ─▶ does its twin wait? ── no ──▶ batch ─▶ written, or refused
 *              │ yes                         │ another transaction holds the twin
 *              ▼                             ▼
 *            behind its earlier writes ──▶ waiting ─▶ pause, growing ─▶ batch of waiting twins ─▶ …
 *                                                        │ `twinHeldMsMax` are over: TWIN_CONFLICT
 *
 * So whoever holds a twin keeps the writes of that twin waiting, in their order, and no others.
 */
import { CallBatches } from '#runtime/call-batches.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import { identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { held, type TwinWrite, type WriteOutcome } from './twin-writes.ts'
import type { IdentityTwin } from './twins.ts'

type Settled = IdentityTwin | Error

interface WaitingWrite {
  readonly write: TwinWrite
  readonly untilMs: number
  readonly settle: (outcome: Settled) => void
}

interface WaitingTwin {
  /** In their order. */
  readonly writes: WaitingWrite[]
}

/** Other writers hold a twin for some milliseconds, and people for as long as they like. */
const heldBackOff: BackOff = { firstMs: 5, factor: 2, maxMs: 250, jitter: 0 }

export class ServiceWrites {
  readonly #attempt: (writes: readonly TwinWrite[]) => Promise<readonly (WriteOutcome | Error)[]>
  readonly #clock: Clock
  /** A write costs a handful of statements, and many together cost as many. */
  readonly #batches: CallBatches<TwinWrite, Settled | Promise<Settled>>
  /** @returns whether any of its writes is over */
  readonly #again: CallBatches<WaitingTwin, boolean>
  /** By `identityText`. */
  readonly #waiting = new Map<string, WaitingTwin>()

  /** @param attempt carries out each write by itself, in one transaction; for one twin all from the first `held` on are `held` */
  constructor(attempt: (writes: readonly TwinWrite[]) => Promise<readonly (WriteOutcome | Error)[]>, clock: Clock) {
    this.#attempt = attempt
    this.#clock = clock
    const countMax = limits.twinWritesAtOnceMax
    this.#batches = new CallBatches({ run: (writes) => this.#run(writes), countMax })
    this.#again = new CallBatches({
      run: (twins) => this.#runAgain(twins),
      countMax,
      sizeOf: ({ writes }) => writes.length,
      sizeMax: countMax,
    })
  }

  /** @throws why it was refused, STORE_UNAVAILABLE, TWIN_CONFLICT */
  async write(write: TwinWrite): Promise<IdentityTwin> {
    const outcome = await this.#batches.call(write)
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  async #run(writes: readonly TwinWrite[]): Promise<readonly (Settled | Promise<Settled>)[]> {
    const free = writes.filter(({ id }) => !this.#waiting.has(identityText(id)))
    const outcomes = free.length === 0 ? [] : await this.#attempt(free)
    const byWrite = new Map(free.map((write, index) => [write, outcomes[index]]))
    return writes.map((write) => {
      const outcome = byWrite.get(write) ?? held
      return outcome === held ? this.#wait(write) : outcome
    })
  }

  #wait(write: TwinWrite): Promise<Settled> {
    const text = identityText(write.id)
    const known = this.#waiting.get(text)
    const twin = known ?? { writes: [] }
    const untilMs = this.#clock.monotonicMs() + limits.twinHeldMsMax
    const settled = new Promise<Settled>((settle) => twin.writes.push({ write, untilMs, settle }))
    if (known === undefined) {
      this.#waiting.set(text, twin)
      void this.#tryAgain(text, twin)
    }
    return settled
  }

  async #tryAgain(text: string, twin: WaitingTwin): Promise<void> {
    const pauses = new Pauses(heldBackOff)
    while (twin.writes.length > 0) {
      await sleep(this.#clock, pauses.nextMs())
      if (await this.#again.call(twin)) pauses.reset()
    }
    this.#waiting.delete(text)
  }

  async #runAgain(twins: readonly WaitingTwin[]): Promise<readonly boolean[]> {
    const heads = twins.map(({ writes }) => writes.slice(0, limits.twinWritesAtOnceMax))
    const writes = heads.flat().map(({ write }) => write)
    const outcomes = await this.#attempt(writes).catch((error: Error) => writes.map(() => error))
    const byWrite = new Map(writes.map((write, index) => [write, outcomes[index]]))
    const nowMs = this.#clock.monotonicMs()
    return twins.map((twin, index) => {
      const tried = heads[index] ?? []
      const left = tried.filter(({ write, untilMs, settle }) => {
        const outcome = byWrite.get(write) ?? held
        if (outcome === held && nowMs < untilMs) return true
        settle(outcome === held ? stillHeld() : outcome)
        return false
      })
      twin.writes.splice(0, tried.length, ...left)
      return left.length < tried.length
    })
  }
}

function stillHeld(): PenstockError {
  const text = `another transaction has held the twin for ${limits.twinHeldMsMax / 1_000} s: send the change again`
  return new PenstockError('TWIN_CONFLICT', text)
}
