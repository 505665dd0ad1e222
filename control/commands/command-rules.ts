import { commandSettings } from '#schemas/command-settings.ts'
import type { Settings } from '#schemas/settings.ts'
import { dayMs } from '#schemas/time.ts'
import type { CommandRules } from './commands.ts'

export function commandRules(settings: Pick<Settings, keyof typeof commandSettings>): CommandRules {
  return {
    lifeMs: settings.commandLifeSeconds * 1_000,
    deliveriesMax: settings.commandDeliveriesMax,
    deadLetterMs: settings.commandDeadLetterDays * dayMs,
    feedbackLifeMs: settings.feedbackLifeSeconds * 1_000,
    waitingBytesMax: settings.commandMegabytesMax * 1024 * 1024,
    isDeduplicated: settings.commandDuplicates === 'dropped',
  }
}

/** Where nobody says anything else. */
export const usualCommandRules = commandRules({
  commandLifeSeconds: commandSettings.commandLifeSeconds.default,
  commandDeliveriesMax: commandSettings.commandDeliveriesMax.default,
  commandDeadLetterDays: commandSettings.commandDeadLetterDays.default,
  commandMegabytesMax: commandSettings.commandMegabytesMax.default,
  commandDuplicates: commandSettings.commandDuplicates.default,
  feedbackLifeSeconds: commandSettings.feedbackLifeSeconds.default,
})
