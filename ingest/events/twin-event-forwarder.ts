/**
 * Puts changes of twins on the log topic `<prefix>.twin-events`, as the messages that routes and readers get:
 *
 *   outbox ── a portion, oldest first ──▶ log ── confirmed ──▶ deleted from the outbox
 *      ▲                                   │
 *      └── killed before it was deleted ───┘   told again, under the same correlationId
 *
 * A change is never forgotten for a log or a process that is away. Of several processes one forwards at a time.
 */
import type { TwinEventPortion, TwinOutbox } from '#control/twins/twins.ts'
import type { Log } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { batchFromMessages, batchSchemaVersion, envelopeBytes } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type TwinChange, twinEventEnvelope } from '#schemas/twin-event.ts'

export interface TwinEventForwarderOptions {
  readonly outbox: TwinOutbox
  /** The topic of twin events; the caller closes it behind the forwarder. */
  readonly log: Pick<Log, 'append'>
  readonly hubName: string
  /** Name of this process, stable over restarts. */
  readonly writerId: string
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly clock: Clock
}

const appendPauses: BackOff = { firstMs: 50, factor: 2, maxMs: 5_000, jitter: 0 }
const drainMsMax = 5_000
/** Of twin events there is one partition. */
const partition = 0

/** @returns ends it, and resolves when nothing is under way, or does not end in a few seconds */
export function forwardTwinEvents(options: TwinEventForwarderOptions): () => Promise<void> {
  const { clock, logger } = options
  const closed = new AbortController()
  const { signal } = closed
  const appender = new Appender(options, signal)
  const running = Promise.all([run(), measureOften(options, signal)])
  return async () => {
    closed.abort()
    await Promise.race([running, sleep(clock, drainMsMax)])
  }

  async function run(): Promise<void> {
    let isAway = false
    while (!signal.aborted) {
      let isMore = false
      try {
        isMore = await forward()
        isAway = false
      } catch (error) {
        if (!isAway && !signal.aborted) logger.warn('changes of twins wait to be told', { error })
        isAway = true
      }
      if (!isMore) await sleep(clock, limits.twinEventsLookMs, signal)
    }
  }

  /** @returns whether there may be more */
  async function forward(): Promise<boolean> {
    const portion = await options.outbox.next()
    assertTold(portion)
    if (portion.events.length === 0) return false
    const stopHolding = holdMeanwhile(options)
    try {
      await appender.append(portion.events)
    } finally {
      stopHolding()
    }
    await options.outbox.forget(portion)
    options.metrics.series('penstock_twin_events_written_total').add(portion.events.length)
    return true
  }
}

/** Rows are deleted once their changes are on the log: of one that tells none, or stands there twice, something would be lost. */
function assertTold({ events, rows }: TwinEventPortion): void {
  assert(events.length >= rows.length, `${rows.length} rows of the outbox tell of more than ${events.length} changes`)
  const isRising = rows.every((row, index) => index === 0 || BigInt(row) > BigInt(rows[index - 1] ?? row))
  assert(isRising, 'the outbox is read in the order of its changes, and each row of it once [G-8]')
}

/** The log may take longer than the right to forward lasts. */
function holdMeanwhile({ outbox, clock }: TwinEventForwarderOptions): () => void {
  const againMs = limits.twinEventsHeldMs / 4
  const hold = (): void => {
    // Where it fails, another process may tell the same once more.
    outbox.hold().catch(() => {})
    cancel = clock.after(againMs, hold)
  }
  let cancel = clock.after(againMs, hold)
  return () => cancel()
}

class Appender {
  readonly #options: TwinEventForwarderOptions
  readonly #until: AbortSignal
  readonly #epoch: number
  #sequence = 0
  /** Of the last record that the log confirmed. */
  #lastOffset = -1

  constructor(options: TwinEventForwarderOptions, until: AbortSignal) {
    this.#options = options
    this.#until = until
    this.#epoch = options.clock.nowMs()
  }

  /** Resolves once the log has confirmed all of them. */
  async append(events: readonly TwinChange[]): Promise<void> {
    const { clock, hubName } = this.#options
    const nowMs = clock.nowMs()
    let messages: { readonly bytes: Uint8Array }[] = []
    let byteCount = 0
    for (const event of events) {
      const bytes = envelopeBytes(twinEventEnvelope(event, hubName, nowMs))
      if (messages.length > 0 && byteCount + bytes.length > limits.blockBytesMax) {
        await this.#appendBatch(messages, nowMs)
        messages = []
        byteCount = 0
      }
      messages.push({ bytes })
      byteCount += bytes.length
    }
    await this.#appendBatch(messages, nowMs)
  }

  async #appendBatch(messages: readonly { readonly bytes: Uint8Array }[], nowMs: number): Promise<void> {
    const { log, writerId, clock, metrics, logger } = this.#options
    const value = batchFromMessages(messages)
    const stamp = {
      schemaVersion: batchSchemaVersion,
      edgeId: writerId,
      epoch: this.#epoch,
      sequence: this.#sequence++,
      messageCount: messages.length,
      enqueuedAtMsFirst: nowMs,
      enqueuedAtMsLast: nowMs,
    }
    try {
      // The same record each time: appended twice it counts once.
      const append = () => log.append(partition, stamp, value)
      this.#checkOffset(await retry(append, { backOff: appendPauses, clock, until: this.#until }))
    } catch (error) {
      if (!isPenstockError(error, 'LOG_RECORD_TOO_LARGE')) throw error
      // The log would refuse it for ever, and with it all changes behind it.
      metrics.series('penstock_twin_events_dropped_total').add(messages.length)
      logger.error('changes of twins are not told: the log refuses them', { count: messages.length, error })
    }
  }

  /**
   * Upon a confirmation the changes are deleted: one without a place on the log, or not behind what was confirmed before, is none. A log that
   * is made anew begins at 0 again: it is refused once.
   */
  #checkOffset(offset: number): void {
    assert(isCount(offset), `the log tells at which offset a record lies, not ${offset}`)
    const before = this.#lastOffset
    this.#lastOffset = offset
    assert(offset > before, `offsets of a partition grow, and ${offset} is not behind ${before}`)
  }
}

/** How many wait; those that are too many are given up. */
async function measureOften(options: TwinEventForwarderOptions, until: AbortSignal): Promise<void> {
  const { outbox, clock, metrics, logger } = options
  const waitingSeries = metrics.series('penstock_twin_events_waiting')
  const oldestSeries = metrics.series('penstock_twin_events_oldest_seconds')
  const dropped = metrics.series('penstock_twin_events_dropped_total')
  while (!until.aborted) {
    try {
      const { waiting, oldestAtMs } = await outbox.measure()
      waitingSeries.set(waiting)
      oldestSeries.set(oldestAtMs === undefined ? 0 : Math.max(0, clock.nowMs() - oldestAtMs) / 1_000)
      if (waiting > limits.twinEventsWaitingMax) {
        const count = await outbox.drop(limits.twinEventsWaitingMax)
        dropped.add(count)
        logger.error('changes of twins are not told: too many wait for the log', { count })
      }
    } catch {
      // The store is away: forwarding says so.
    }
    await sleep(clock, limits.twinEventsMeasuredMs, until)
  }
}
