/**
 * Brings one range to a known end: stored once, or refused for good and not stored.
 *
 *   fence ── commit the intent under our generation; the log refuses it to a worker that lost the partition
 *   ask ──── unless nobody can have sent this range yet: are its rows there?
 *   insert ─ with the range's token; begins within `insertBeginMsMax` of the fence or is refused by the sink itself
 *   ask ──── after a confirmation, unless nobody can have sent this range before: a token may be remembered without its rows
 *            after a refusal, always: a materialized view that fails does so when the rows are stored already
 *
 * Whatever fails on the way, the next attempt begins at the fence. Two inserts of one range, whoever sent them, take effect
 * within `insertBeginMsMax` + `TableSink.insertMsMax` of each other or the later one's sender has seen the rows of the earlier;
 * so the sink must remember a token for that long, and no longer.
 * All of this counts on the monotonic clock: the wall clock may be set while an insert is on its way.
 */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import { isPenstockError, type PenstockError } from '#schemas/errors.ts'
import { admitted, type DeliveryOptions, type DeliveryOutcome } from './delivery.ts'
import { type Intent, renewedToken } from './intent.ts'

export interface RangeDeliveryOptions extends DeliveryOptions {
  readonly sink: TableSink
  /** True: a refusal only makes the caller cut smaller, so it needs no proof that the sink takes other rows. */
  readonly cutsOnRefusal?: boolean
  /** Called for each insert that the sink answered with an error though it has the rows. */
  readonly onStoredDespite: () => void
}

/** What an earlier owner may have sent of a range: nothing; an insert whose outcome is final by now; one that may still take effect. */
export type EarlierInsert = 'none' | 'landed' | 'landing'

const retryDelayMsFirst = 100
/** Short: after an outage what waited is to be caught up with at once, and an attempt at a sink that is away costs next to nothing. */
const retryDelayMsMax = 1_000
/** Between two questions whether rows have landed, while a token is waited out. */
const lookDelayMs = 1_000

/**
 * @param commitIntent writes the intent down under the assignment's generation
 * @param earlier `landing` if the intent was found open
 * @throws what the log answers to a commit, LOG_GENERATION_STALE above all; nothing of the sink's that a retry can heal
 */
export async function deliverRange(
  options: RangeDeliveryOptions,
  intent: Intent,
  selected: SelectedRange,
  commitIntent: (intent: Intent) => Promise<void>,
  earlier: EarlierInsert,
): Promise<DeliveryOutcome> {
  return await new RangeDelivery(options, intent, selected, commitIntent, earlier).run()
}

/** What a sink has of a range. Any other answer would be taken for all of it, or for nothing. @throws what `TableSink.stored` throws */
export async function storedIn(sink: Pick<TableSink, 'stored'>, range: DeliveryRange): Promise<number> {
  const stored = await sink.stored(range)
  assert(isCount(stored), `a sink counts what it has stored, and not to ${stored}`)
  return stored
}

type Attempt =
  | { readonly kind: 'stored' | 'burnt' }
  | { readonly kind: 'refused' | 'unknown'; readonly error: PenstockError }

class RangeDelivery {
  readonly #options: RangeDeliveryOptions
  readonly #selected: SelectedRange
  readonly #commitIntent: (intent: Intent) => Promise<void>
  #intent: Intent
  /** Until when, monotonic, an insert that someone sent may take effect; `undefined`: nobody has sent one of unknown outcome. */
  #landsUntilMonotonicMs: number | undefined

  constructor(
    options: RangeDeliveryOptions,
    intent: Intent,
    selected: SelectedRange,
    commitIntent: (intent: Intent) => Promise<void>,
    earlier: EarlierInsert,
  ) {
    this.#options = options
    this.#intent = intent
    this.#selected = selected
    this.#commitIntent = commitIntent
    const nowMs = options.clock.monotonicMs()
    if (earlier === 'landed') this.#landsUntilMonotonicMs = nowMs
    if (earlier === 'landing') this.#landsUntilMonotonicMs = nowMs + options.insertBeginMsMax + options.sink.insertMsMax
  }

  async run(): Promise<DeliveryOutcome> {
    const { ended, logger, skipSteps } = this.#options
    let acceptedBefore = false
    for (let attempt = 0; ; attempt++) {
      if (attempt > 0) await this.#pause(attempt - 1)
      if (ended.aborted) return 'ended'
      const result = await admitted(this.#options, () => this.#attempt())
      if (result === undefined) return 'ended'
      this.#tellCircuit(result)
      switch (result.kind) {
        case 'stored':
          return 'stored'
        case 'unknown':
          logger.warn('insert not confirmed; it will be repeated', { ...this.#fields(attempt), error: result.error })
          this.#options.onFailure()
          this.#options.onWait(result.error)
          break
        case 'refused':
          logger.warn('insert refused', { ...this.#fields(attempt), error: result.error })
          this.#options.onRefusal(result.error)
          this.#options.onWait(result.error)
          if (this.#options.cutsOnRefusal === true && this.#landsUntilMonotonicMs === undefined) return 'refused'
          // The sink may have refused everything at that moment. So it must take other rows before and after.
          if (!(await this.#sinkAccepts())) {
            acceptedBefore = false
            break
          }
          if (!acceptedBefore) {
            acceptedBefore = true
            break
          }
          // Under a token that was sent before, a refusal proves nothing: it may be remembered without its rows, while a view fails.
          if (this.#landsUntilMonotonicMs === undefined || skipSteps.has('verdict-token')) return 'refused'
          if (await this.#retireToken()) break
          return ended.aborted ? 'ended' : 'stored'
        case 'burnt':
          logger.warn('an insert was taken for a repetition, but its rows are not there', this.#fields(attempt))
          if (await this.#retireToken()) break
          return ended.aborted ? 'ended' : 'stored'
      }
    }
  }

  async #attempt(): Promise<Attempt> {
    const { sink, clock, insertBeginMsMax, skipSteps } = this.#options
    assert(this.#selected.range.messageCount > 0, 'an insert has messages')
    const { token } = this.#intent
    const landsUntilBeforeMs = this.#landsUntilMonotonicMs
    const alone = landsUntilBeforeMs === undefined
    const begunMonotonicMs = clock.monotonicMs()
    await this.#commitIntent(this.#intent)
    try {
      if (!alone && !skipSteps.has('ask-before') && (await this.#hasRows())) return { kind: 'stored' }
      const expiresMonotonicMs = skipSteps.has('expiry') ? Number.MAX_SAFE_INTEGER : begunMonotonicMs + insertBeginMsMax
      this.#landsUntilMonotonicMs = begunMonotonicMs + insertBeginMsMax + sink.insertMsMax
      await sink.insert(this.#selected, skipSteps.has('token') ? '' : token, expiresMonotonicMs)
      if (alone || skipSteps.has('ask-after') || (await this.#hasRows())) return { kind: 'stored' }
      return { kind: 'burnt' }
    } catch (error) {
      if (!isPenstockError(error)) throw error
      if (error.disposition === 'reject') return await this.#refused(error, landsUntilBeforeMs)
      if (error.disposition !== 'retry') throw error
      return { kind: 'unknown', error }
    }
  }

  /** An insert that was refused has ended, so the answer is final for it. Until there is one, it counts as of unknown outcome. */
  async #refused(error: PenstockError, landsUntilBeforeMs: number | undefined): Promise<Attempt> {
    const { logger, skipSteps, onStoredDespite } = this.#options
    try {
      if (!skipSteps.has('ask-refused') && (await this.#hasRows())) {
        logger.warn('the sink answered with an error and has the rows; a materialized view failed', {
          ...this.#fields(0),
          error,
        })
        onStoredDespite()
        return { kind: 'stored' }
      }
    } catch (unanswered) {
      if (!isPenstockError(unanswered) || unanswered.disposition !== 'retry') throw unanswered
      return { kind: 'unknown', error: unanswered }
    }
    // This one stored nothing, for certain; earlier ones still might. What it may have left is its token without the rows.
    this.#landsUntilMonotonicMs = landsUntilBeforeMs
    if (landsUntilBeforeMs === undefined && !skipSteps.has('refused-token')) this.#renewToken()
    return { kind: 'refused', error }
  }

  #tellCircuit(result: Attempt): void {
    const { circuit } = this.#options
    if (result.kind === 'unknown') circuit?.failed(result.error)
    else if (result.kind === 'refused') circuit?.refused(result.error)
    else circuit?.taken()
  }

  /** False while the sink would refuse any rows: then nothing is wrong with these, and dead letters would be a flood. */
  async #sinkAccepts(): Promise<boolean> {
    const { sink, logger } = this.#options
    try {
      if (await sink.accepts()) return true
      logger.error('the sink refuses every insert; its tables or grants need repair', this.#fields(0))
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry') throw error
    }
    return false
  }

  /**
   * Waits until nothing that was sent under the token can take effect any more, which may be one that is only now being committed;
   * then goes on under a new one. False if there is no need: the rows are there after all, or the assignment ended.
   */
  async #retireToken(): Promise<boolean> {
    const { clock, ended, skipSteps } = this.#options
    const landsUntilMs = skipSteps.has('bury') ? 0 : (this.#landsUntilMonotonicMs ?? 0)
    for (let attempt = 0; !ended.aborted; attempt++) {
      const leftMs = Math.max(0, landsUntilMs + 1 - clock.monotonicMs())
      await sleep(clock, Math.min(leftMs, lookDelayMs), ended)
      try {
        // What an earlier owner has under way lands long before it may at the latest.
        if (await this.#hasRows()) return false
        if (leftMs > lookDelayMs) continue
        this.#renewToken()
        return true
      } catch (error) {
        if (!isPenstockError(error) || error.disposition !== 'retry') throw error
        this.#options.onWait(error)
        await this.#pause(attempt)
      }
    }
    return false
  }

  async #hasRows(): Promise<boolean> {
    const { range } = this.#intent
    return (await storedIn(this.#options.sink, range)) > (range.part?.storedBefore ?? 0)
  }

  /** To be called when nothing that was sent under the present one can take effect any more. */
  #renewToken(): void {
    this.#intent = { ...this.#intent, token: renewedToken(this.#intent.token) }
    this.#landsUntilMonotonicMs = undefined
  }

  #pause(attempt: number): Promise<void> {
    const { clock, random, ended } = this.#options
    const delayMsMax = Math.min(retryDelayMsMax, retryDelayMsFirst * 2 ** Math.min(attempt, 16))
    return sleep(clock, delayMsMax * (0.5 + random() / 2), ended)
  }

  #fields(attempt: number): Record<string, unknown> {
    const { partition, first, last } = this.#intent.range
    return { partition, first, last, attempt }
  }
}
