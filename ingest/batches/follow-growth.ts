import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { Batcher } from './batcher.ts'

export interface FollowGrowthOptions {
  readonly batcher: Batcher
  readonly spread: DeviceSpread
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * The partitions of the log grow while devices are served: they wait while nobody may append, and go on over as many partitions as there are
 * then.
 *
 *   hold ──▶ sockets pause, what is open is settled ──▶ grown: spread anew ──▶ sockets go on
 *             └── not settled in time, or nobody ends it ──▶ given up ────────────┘
 *
 * @returns ends it
 */
export function followGrowth({ batcher, spread, clock, logger }: FollowGrowthOptions): () => void {
  let heldFor: number | undefined
  let cancels: (() => void)[] = []
  const giveUp = (hold: number, why: string): void => {
    if (heldFor !== hold) return
    logger.warn('a growth of the log is given up', { why })
    spread.abandon(hold, why).catch((error: unknown) => {
      if (heldFor !== hold) return
      logger.warn('it is not known to be given up yet', { error })
      cancels.push(clock.after(limits.growthHoldMsMax, () => giveUp(hold, why)))
    })
  }
  const begin = (hold: number): void => {
    heldFor = hold
    batcher.suspend()
    cancels = [
      clock.after(limits.growthVetoMs, () => {
        if (!batcher.isIdle) giveUp(hold, 'the log did not confirm in time what an edge had for it')
      }),
      clock.after(limits.growthHoldMsMax, () => giveUp(hold, 'nobody finished it')),
    ]
  }
  const end = (): void => {
    for (const cancel of cancels) cancel()
    cancels = []
    heldFor = undefined
  }
  const look = (): void => {
    const { hold, count } = spread
    if (hold?.number !== heldFor) end()
    if (count !== batcher.spreadOver) {
      batcher.spread(count)
      logger.info('devices are spread over more partitions', { partitions: count })
    }
    if (hold === undefined) batcher.resume()
    else if (heldFor === undefined) begin(hold.number)
  }
  const unfollow = spread.onChange(look)
  look()
  return () => {
    unfollow()
    end()
  }
}
