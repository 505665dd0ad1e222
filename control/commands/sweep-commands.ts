/** What is looked at regularly, in each process that serves the control store: commands that are too old, and how much there is. */
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { repeating } from '#runtime/repeating.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Commands } from './commands.ts'

/** Of several processes that do it at once each ends other commands. @returns ends it, and resolves when nothing is under way */
export function sweepCommands(
  commands: Pick<Commands, 'sweep' | 'measure'>,
  metrics: Metrics<MetricName>,
  clock: Clock,
  logger: Logger,
): () => Promise<void> {
  let measureAtMs = 0
  return repeating(clock, async () => {
    let most = 0
    try {
      most = await sweep()
      if (clock.monotonicMs() >= measureAtMs) {
        await measure()
        measureAtMs = clock.monotonicMs() + limits.commandsMeasuredMs
      }
    } catch (error) {
      logger.warn('commands that are too old were not looked for; trying again', { error })
    }
    return most < limits.commandsSweptAtOnceMax ? limits.commandSweepMs : 0
  })

  /** @returns how many of one kind: there may be more */
  async function sweep(): Promise<number> {
    const { expired, feedbackTold, feedbackForgotten, deadForgotten } = await commands.sweep()
    metrics.series('penstock_commands_expired_total').add(expired)
    metrics.series('penstock_commands_forgotten_total', { what: 'feedback' }).add(feedbackForgotten)
    metrics.series('penstock_commands_forgotten_total', { what: 'dead_letters' }).add(deadForgotten)
    return Math.max(expired, feedbackTold, feedbackForgotten, deadForgotten)
  }

  async function measure(): Promise<void> {
    const { waiting, waitingBytes, dead } = await commands.measure()
    metrics.series('penstock_commands_waiting').set(waiting)
    metrics.series('penstock_commands_waiting_bytes').set(waitingBytes)
    metrics.series('penstock_commands_dead_letters').set(dead)
  }
}
