import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import type { TransferWork } from './transfers.ts'

/**
 * Forgets the signatures of transfers that ended, however they did, in each process that serves the control store.
 * @returns ends it, and resolves when nothing is under way
 */
export function sweepTransfers(work: Pick<TransferWork, 'sweep'>, clock: Clock, logger: Logger): () => Promise<void> {
  return repeating(clock, async () => {
    try {
      await work.sweep()
    } catch (error) {
      logger.warn('the signatures of transfers that ended are not forgotten yet; trying again', { error })
    }
    return limits.jobsCountedMs
  })
}
