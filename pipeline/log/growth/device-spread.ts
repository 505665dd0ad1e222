/**
 * Over how many partitions of a log devices are spread, and since when: what an edge, a worker and a router go by. It follows the journal
 * (`growth-events.ts`), and so sees within `growthLookMs` what others wrote.
 *
 * Why an edge may believe what it saw last: the command that grows a log lets `growthHoldMs` pass between the hold and the cut. A look that
 * began less than `growthLeaseMs` ago and found no hold began before any cut that is to come. While the journal's broker is away, the number
 * of partitions tells as well that there is none. docs/decisions/0025-growth.md
 */
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import type { BatchStamp, Log } from '../log.ts'
import {
  afterEvent,
  bytesFromGrowthEvent,
  type Growth,
  type GrowthEvent,
  type GrowthState,
  growthEventFrom,
  type Hold,
  nothingGrown,
} from './growth-events.ts'

export interface DeviceSpreadOptions {
  /** The log that grows. */
  readonly log: Log
  /** A log of one partition, which is this one's own from now on. */
  readonly journal: Log
  readonly clock: Clock
  readonly logger: Logger
}

/** A look is missing, and there is time for another before the lease ends. */
const journalLateMs = 1.5 * limits.growthLookMs

/** An event without what this one knows itself. */
type OwnEvent<Event = GrowthEvent> = Event extends GrowthEvent ? Omit<Event, 'logId' | 'by'> : never

export class DeviceSpread {
  readonly #options: DeviceSpreadOptions
  #logId: string
  /** Partitions that the log had before the journal was read first: devices are spread over these if it never grew. */
  #countFirst: number
  readonly #by: string
  readonly #listeners = new Set<() => void>()
  #state: GrowthState = nothingGrown
  /** Next record of the journal. */
  #next = 0
  /** When the last look began that found no hold, or no partitions that one could be for; by the monotonic clock. */
  #clearAtMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> = Promise.resolve()
  /** A look that waits for the one that is under way: it is everybody's who asks until it begins. */
  #lookNext: Promise<void> | undefined
  #stopWatching: readonly (() => Promise<void>)[] = []
  #isClosed = false

  private constructor(options: DeviceSpreadOptions, logId: string, countFirst: number, by: string) {
    this.#options = options
    this.#logId = logId
    this.#countFirst = countFirst
    this.#by = by
  }

  /** @param by names this process in what it writes @throws LOG_UNAVAILABLE, LOG_DATA_UNREADABLE */
  static async open(options: DeviceSpreadOptions, by: string): Promise<DeviceSpread> {
    const { log } = options
    // In this order: partitions are added only behind a plan in the journal.
    await log.refreshPartitions()
    const spread = new DeviceSpread(options, await log.id(), log.partitionCount, by)
    await spread.look()
    return spread
  }

  /** Partitions that devices are spread over, from the first on. */
  get count(): number {
    return this.#state.count ?? this.#countFirst
  }

  /** Oldest first. */
  get growths(): readonly Growth[] {
    return this.#state.growths
  }

  /** Devices wait while there is one. */
  get hold(): Hold | undefined {
    return this.#state.hold
  }

  /** Why the last growth that was not finished was given up; `undefined`: there is none. */
  get abandoned(): { readonly hold: number; readonly by: string; readonly why: string } | undefined {
    return this.#state.abandoned
  }

  /** All partitions in which messages of a device may lie, the oldest first. */
  partitionsOf(deviceId: Uint8Array): readonly number[] {
    const counts = [...this.growths.map(({ from }) => from), this.count]
    return [...new Set(counts.map((count) => partitionOfDevice(deviceId, count)))]
  }

  /** Calls back when one of the above has changed. @returns ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Looks now and then, until it is closed. */
  watch(): void {
    if (this.#stopWatching.length > 0) return
    const { clock, logger } = this.#options
    let isTold = false
    const often = (look: () => Promise<void>) =>
      repeating(clock, async () => {
        try {
          await look()
          if (this.isCertain()) isTold = false
        } catch (error) {
          if (!isPenstockError(error)) throw error
          if (!this.#isClosed && !isTold && !this.isCertain()) {
            isTold = true
            logger.warn('whether the log grows is not known; edges acknowledge nothing until it is', { error })
          }
        }
        return limits.growthLookMs
      })
    this.#stopWatching = [often(() => this.look()), often(() => this.#lookAtPartitions())]
  }

  /** Sees what others have written before this was called. @throws LOG_UNAVAILABLE, LOG_DATA_UNREADABLE, LOG_CLOSED */
  look(): Promise<void> {
    if (this.#lookNext !== undefined) return this.#lookNext
    const look = this.#looking.then(() => {
      this.#lookNext = undefined
      return this.#readOn()
    })
    this.#lookNext = look
    this.#looking = look.catch(() => {})
    return look
  }

  /** HOT: per batch. True if nothing can have changed that this one has not seen. */
  isCertain(): boolean {
    return this.#options.clock.monotonicMs() < this.#clearAtMs + limits.growthLeaseMs
  }

  /**
   * Whether a record counts that the log has just confirmed: it lies before the cut of any growth that its edge had not seen. Waits while
   * that is not known.
   * @param count over which devices were spread when it was made
   * @param isGivenUp asked now and then; true: nobody waits any more, and it does not count
   */
  async counts(partition: number, offset: number, count: number, isGivenUp: () => boolean): Promise<boolean> {
    const { clock, logger } = this.#options
    const confirmedAtMs = clock.monotonicMs()
    while (!this.isCertain() && this.#clearAtMs < confirmedAtMs) {
      if (isGivenUp() || this.#isClosed) return false
      // Not longer for the journal than for anything else that tells.
      const looked = this.look().catch((error: unknown) => {
        if (!isPenstockError(error)) throw error
        logger.debug('whether a batch counts is not known yet', { partition, error })
      })
      await Promise.race([looked, sleep(clock, limits.growthLookMs)])
      if (this.#clearAtMs < confirmedAtMs) await sleep(clock, limits.growthLookMs)
    }
    if (count === this.count) return true
    const growth = this.growths.find(({ from }) => from === count)
    return offset < (growth?.cuts[partition] ?? 0)
  }

  /** Gives up a hold that is still open. @throws as `append` of the journal */
  async abandon(hold: number, why: string): Promise<void> {
    await this.write({ kind: 'abandoned', hold, why })
    await this.look()
  }

  /** @returns its offset in the journal @throws as `append` of the journal */
  write(event: OwnEvent): Promise<number> {
    const { clock, journal } = this.#options
    const nowMs = clock.nowMs()
    const stamp: BatchStamp = {
      schemaVersion: 1,
      edgeId: this.#by,
      epoch: nowMs,
      sequence: 0,
      messageCount: 1,
      enqueuedAtMsFirst: nowMs,
      enqueuedAtMsLast: nowMs,
    }
    return journal.append(0, stamp, bytesFromGrowthEvent({ ...event, logId: this.#logId, by: this.#by }))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#stopWatching.map((stop) => stop()))
    await this.#looking
    await this.#options.journal.close()
  }

  /**
   * What tells while the journal cannot be read: whoever grows the log adds partitions `growthHoldMs` before the hold, so with none added
   * nothing is held.
   */
  async #lookAtPartitions(): Promise<void> {
    const { clock, log } = this.#options
    const beganAtMs = clock.monotonicMs()
    if (beganAtMs < this.#clearAtMs + journalLateMs) return
    await log.refreshPartitions()
    if (this.hold === undefined && log.partitionCount === this.count)
      this.#clearAtMs = Math.max(this.#clearAtMs, beganAtMs)
  }

  /** Whether there is another log now than before: then nothing is known of it yet. */
  async #isMadeAnew(): Promise<boolean> {
    const { log } = this.#options
    const logId = await log.id()
    if (logId === this.#logId) return false
    this.#logId = logId
    this.#countFirst = log.partitionCount
    this.#state = nothingGrown
    this.#next = 0
    return true
  }

  /** @param told what listeners know */
  async #readOn(told = this.#state): Promise<void> {
    const { clock, journal, log } = this.#options
    const beganAtMs = clock.monotonicMs()
    let state = this.#state
    let next = this.#next
    let isOfAnother = false
    for (;;) {
      const records = await journal.read(0, next, limits.growthReadBytesMax)
      for (const { offset, value } of records) {
        // Its order decides: what is read twice, or too late, would be another growth.
        assert(offset >= next, `the journal is read from ${next} on, and does not go back to ${offset}`)
        const event = growthEventFrom(value)
        if (event.logId === this.#logId) state = afterEvent(state, event, offset)
        else isOfAnother = true
        next = offset + 1
      }
      if (records.length === 0) break
    }
    if (isOfAnother && (await this.#isMadeAnew())) return await this.#readOn(told)
    const wanted = Math.max(state.count ?? 0, state.hold?.to ?? 0)
    if (wanted > log.partitionCount) await log.refreshPartitions()
    if ((state.count ?? 0) > log.partitionCount)
      throw new PenstockError(
        'LOG_PARTITIONS_MISMATCH',
        `devices are spread over ${state.count} partitions, and ${log.topic} has ${log.partitionCount}`,
      )
    const hasChanged = state !== told
    this.#state = state
    this.#next = next
    if (state.hold === undefined) this.#clearAtMs = Math.max(this.#clearAtMs, beganAtMs)
    if (hasChanged) for (const listener of [...this.#listeners]) listener()
  }
}
