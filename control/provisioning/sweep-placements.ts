import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'

/**
 * Looks for devices that interrupted registrations left in hubs; one process at a time.
 * @returns ends it, and resolves when nothing is under way
 */
export function sweepPlacements(
  settleLeft: () => Promise<number>,
  isKeeper: () => Promise<boolean>,
  clock: Clock,
  logger: Logger,
): () => Promise<void> {
  return repeating(clock, async () => {
    let most = 0
    try {
      if (await isKeeper()) most = await settleLeft()
    } catch (error) {
      logger.warn('devices that were left in hubs were not looked for; trying again', { error })
    }
    return most < limits.intentsSettledAtOnceMax ? limits.intentsLookedAtMs : 0
  })
}
