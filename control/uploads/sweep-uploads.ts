import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import type { Uploads } from './uploads.ts'

/**
 * Looks every second for uploads and notifications that are too old, in each process that serves the control store.
 * @returns ends it, and resolves when nothing is under way
 */
export function sweepUploads(uploads: Pick<Uploads, 'sweep'>, clock: Clock, logger: Logger): () => Promise<void> {
  return repeating(clock, async () => {
    let most = 0
    try {
      most = await uploads.sweep()
    } catch (error) {
      logger.warn('uploads that are too old were not looked for; trying again', { error })
    }
    return most < limits.commandsSweptAtOnceMax ? limits.commandSweepMs : 0
  })
}
