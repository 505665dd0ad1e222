/**
 * Keeps the order of devices that moved to another partition: a partition that a growth added is delivered once the one that its devices come
 * from is delivered up to the cut. Each group waits for itself.
 */
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { type BackOff, Pauses } from '#runtime/retry.ts'
import { limits } from '#schemas/limits.ts'
import type { Log } from '../log.ts'
import type { DeviceSpread } from './device-spread.ts'

export interface EarlierOptions {
  readonly log: Pick<Log, 'positions' | 'ranges'>
  readonly spread: Pick<DeviceSpread, 'look' | 'growths' | 'count'>
  readonly group: string
  readonly partition: number
  readonly clock: Clock
  readonly ended: AbortSignal
}

/** A group that is days behind asks for days. */
const lookPauses: BackOff = { firstMs: limits.growthLookMs, factor: 1.5, maxMs: 5_000, jitter: 0 }

/**
 * Resolves when the partition may be delivered, or the task has ended. Costs nothing for a partition that was there from the start.
 * @throws LOG_UNAVAILABLE
 */
export async function untilEarlierDelivered(options: EarlierOptions): Promise<void> {
  const { spread, partition, clock, ended } = options
  if (partition < (spread.growths[0]?.from ?? spread.count)) return
  const pauses = new Pauses(lookPauses)
  while (!ended.aborted && !(await isEarlierDelivered(options))) await sleep(clock, pauses.nextMs(), ended)
}

async function isEarlierDelivered({ log, spread, group, partition }: EarlierOptions): Promise<boolean> {
  await spread.look()
  // Nobody uses it yet.
  if (partition >= spread.count) return false
  const [positions, ranges] = [await log.positions(group), await log.ranges()]
  // Its devices may have sent nothing between two growths: then only where they were before tells.
  const added = spread.growths.findIndex(({ to }) => partition < to)
  return spread.growths.slice(0, added + 1).every(({ from, cuts }) => {
    const earlier = partition % from
    const [cut, range] = [cuts[earlier], ranges[earlier]]
    // Taken for an empty one, it would be overtaken by what comes behind it.
    assert(
      cut !== undefined && range !== undefined,
      `the log tells what it keeps of partition ${earlier}, which was cut`,
    )
    // Of a log that is bounded for its readers, some is not theirs to deliver; what retention removed nobody delivers.
    return range.first >= cut || (positions[earlier]?.offset ?? 0) >= Math.min(cut, range.next)
  })
}
