import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { limits } from '#schemas/limits.ts'
import type { Uploads } from './uploads.ts'

/**
 * Looks every second for uploads and notifications that are too old, in each process that serves the control store.
 * @returns ends it, and resolves when nothing is under way
 */
export function sweepUploads(uploads: Pick<Uploads, 'sweep'>, clock: Clock, logger: Logger): () => Promise<void> {
  const closed = new AbortController()
  const { signal } = closed
  const running = run()
  return () => {
    closed.abort()
    return running
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      let most = 0
      try {
        most = await uploads.sweep()
      } catch (error) {
        logger.warn('uploads that are too old were not looked for; trying again', { error })
      }
      if (most < limits.commandsSweptAtOnceMax) await sleep(clock, limits.commandSweepMs, signal)
    }
  }
}
