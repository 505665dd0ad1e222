/**
 * Adds partitions to a log while devices are served, and spreads devices over all of them. docs/decisions/0025-growth.md
 *
 *   planned ─▶ partitions added ─▶ growthHoldMs ─▶ held ─▶ growthHoldMs ─▶ ends of the old ones are the cuts ─▶ grown
 *
 * A crash between any two of these leaves all as it was for devices: partitions that nobody uses, or a hold that edges give up after
 * `growthHoldMsMax`. Doing it again goes on from there.
 */
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { Log } from '../log.ts'
import type { DeviceSpread } from './device-spread.ts'
import type { Growth } from './growth-events.ts'

export interface GrowOptions {
  readonly log: Log
  /** Of this log. */
  readonly spread: DeviceSpread
  /** Partitions that are wanted. */
  readonly to: number
  readonly partitionsMax: number
  readonly clock: Clock
}

/**
 * Resolves once devices are spread over `to` partitions for everybody who looks.
 * @throws LOG_GROWTH_REFUSED, LOG_GROWTH_ABANDONED, LOG_UNAVAILABLE
 */
export async function growPartitions(options: GrowOptions): Promise<Growth> {
  const { log, spread, to, clock } = options
  await untilNoHold(spread, clock)
  await log.refreshPartitions()
  assertGrowable(options)
  await spread.write({ kind: 'planned', from: spread.count, to })
  await spread.look()
  await log.grow(to)
  // Until each broker tells of them, an edge that cannot read the journal takes it that nothing is held.
  await sleep(clock, limits.growthHoldMs)
  const hold = await spread.write({ kind: 'held', to })
  try {
    await spread.look()
    if (spread.hold?.number !== hold) throw abandonedOf(spread, hold)
    await sleep(clock, limits.growthHoldMs)
    const cuts = (await log.ranges()).slice(0, spread.count).map(({ next }) => next)
    assert(
      cuts.length === spread.count,
      `each of ${spread.count} partitions ends somewhere, not ${cuts.length} of them`,
    )
    await spread.write({ kind: 'grown', hold, cuts })
    await spread.look()
  } catch (error) {
    // Devices need not wait for it. Where even that fails, edges give it up themselves.
    await spread.abandon(hold, 'its command failed').catch(() => {})
    throw error
  }
  const growth = spread.growths.at(-1)
  if (growth === undefined || spread.count !== to) throw abandonedOf(spread, hold)
  return growth
}

/** One that is under way ends within a time that is bounded, or its command has died: then it is given up. */
async function untilNoHold(spread: DeviceSpread, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + limits.growthHoldMsMax
  await spread.look()
  while (spread.hold !== undefined) {
    const { number, to, by } = spread.hold
    if (clock.monotonicMs() >= untilMs) await spread.abandon(number, `to ${to}, by ${by}, was not finished`)
    else {
      await sleep(clock, limits.growthLookMs)
      await spread.look()
    }
  }
}

function assertGrowable({ log, spread, to, partitionsMax }: GrowOptions): void {
  const { count } = spread
  const added = log.partitionCount > count ? `, and ${log.partitionCount - count} more that are not used yet` : ''
  const refuse = (why: string): never => {
    throw new PenstockError('LOG_GROWTH_REFUSED', `${log.topic} has ${count} partitions${added}: ${why}`)
  }
  if (to === count) refuse(`there are ${to} already`)
  if (to < count) refuse(`fewer cannot be made of them, so ${to} is not allowed`)
  if (to > partitionsMax) refuse(`at most ${partitionsMax} are allowed, not ${to}`)
  if (to < log.partitionCount) refuse(`those that are there stay, so at least ${log.partitionCount} are allowed`)
  // So a device stays where it is, or moves to a partition that is new.
  if (to % count !== 0)
    refuse(
      `allowed is a multiple of ${count}, ${count * Math.floor(to / count)} or ${count * Math.ceil(to / count)} say, not ${to}`,
    )
}

function abandonedOf({ abandoned, hold: open }: DeviceSpread, hold: number): PenstockError {
  const why =
    abandoned?.hold === hold
      ? `${abandoned.by} gave it up: ${abandoned.why}`
      : `another one ${open === undefined ? 'went first' : `is under way, to ${open.to}, by ${open.by}`}`
  return new PenstockError(
    'LOG_GROWTH_ABANDONED',
    `the partitions did not grow; ${why}. Nothing else changed: do it again`,
  )
}
