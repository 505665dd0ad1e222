import type { Assignment } from '#pipeline/log/log.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'

const retryDelayMs = 500

export interface LogAnswersOptions {
  readonly assignment: Assignment
  readonly clock: Clock
  readonly logger: Logger
  /** Aborted when the task ends. */
  readonly ended: AbortSignal
}

/** @param text what is said of each failure. @throws what no retry heals; when the task has ended, anything */
export async function untilLogAnswers<T>(
  { assignment, clock, ended, logger }: LogAnswersOptions,
  text: string,
  ask: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry' || ended.aborted) throw error
      logger.warn(text, { partition: assignment.partition, error })
      await sleep(clock, retryDelayMs, ended)
    }
  }
}
