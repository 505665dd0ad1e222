import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import type { PartLook, PartWatch } from './part-watch.ts'

export interface SummaryTools {
  readonly parts: PartWatch
  /** Which table it is, for people. */
  readonly what: string
  /** Does what a look at the parts makes due. @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED, STORE_UNAVAILABLE */
  readonly compute: (look: PartLook, signal: AbortSignal) => Promise<unknown>
  /** Whether there is anything to do, and by this process. @throws STORE_UNAVAILABLE */
  readonly isDue: () => Promise<boolean> | boolean
  /** Pause so many times as long as the work took, at least. */
  readonly pauseFactor: number
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Computes a table again and again from rows that came. What fails is done again: a look counts as settled only when all of it is done.
 * @returns ends it, and resolves when nothing is under way
 */
export function keepSummaries(tools: SummaryTools): () => Promise<void> {
  const { parts, what, compute, isDue, pauseFactor, clock, logger } = tools
  let failures = 0
  return repeating(clock, async (signal) => {
    const begunMs = clock.monotonicMs()
    try {
      if (await isDue()) {
        const look = await parts.look()
        await compute(look, signal)
        if (!signal.aborted) look.settle()
      }
      failures = 0
    } catch (error) {
      // Whatever it is, delivery goes on beside it.
      const level = ++failures === limits.tableQuietFailures ? 'warn' : 'debug'
      logger[level](`${what} cannot be computed; trying again`, { error })
    }
    return Math.max(limits.summaryPauseMs, (clock.monotonicMs() - begunMs) * pauseFactor)
  })
}
