/** `penstock grow-partitions`: more partitions of telemetry, while devices are served and in the order of each device. */
import { openDeviceSpread } from '#infra/roles/open-device-spread.ts'
import { openRoleLog } from '#infra/roles/open-role-log.ts'
import { growPartitions } from '#pipeline/log/growth/grow-partitions.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type Settings, settingsTable } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const partitionsMax = settingsTable.partitions.max

const usage = `penstock grow-partitions --to <n>

  --to <n>   partitions that telemetry is to have: a multiple of those that there are, ${partitionsMax} at most. Fewer are never made of them

While it runs edges let devices wait for about ${Math.ceil(limits.growthHoldMs / 1_000)} seconds. Each device keeps its order. If it is killed, run it again.
`

export const growPartitionsCommand: Command = { usage, run: runGrowPartitions }

/** @throws CONTROL_COMMAND_INVALID, LOG_GROWTH_REFUSED, LOG_GROWTH_ABANDONED, LOG_UNAVAILABLE */
async function runGrowPartitions(settings: Settings, args: readonly string[]): Promise<undefined> {
  const { words, flags } = argumentsOf(args, { to: 'value' }, invalid)
  const to = Number(flags.get('to'))
  if (words.length > 0 || !Number.isInteger(to) || to < 1) throw invalid('--to is a whole number from 1')
  const logger = createLogger('grow-partitions', settings.logLevel)
  const log = await openRoleLog(settings, logger)
  try {
    const spread = await openDeviceSpread(settings, logger, log, 'grow-partitions')
    try {
      const { from } = await growPartitions({ log, spread, to, partitionsMax, clock: systemClock })
      write(
        `${log.topic} had ${from} partitions and has ${to}. Where PENSTOCK_PARTITIONS is set, ${from} may stay: it counts when the topic is made`,
      )
    } finally {
      await spread.close()
    }
  } finally {
    await log.close()
  }
  return undefined
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
