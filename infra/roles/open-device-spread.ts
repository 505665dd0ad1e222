import { hostname } from 'node:os'
import { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { openRoleLog } from './open-role-log.ts'

/**
 * Over how many partitions of telemetry devices are spread.
 * @param log of telemetry, which stays its opener's @param name of this process, for people @throws as `openLog`, LOG_PARTITIONS_MISMATCH
 */
export async function openDeviceSpread(
  settings: Settings,
  logger: Logger,
  log: Log,
  name: string,
): Promise<DeviceSpread> {
  const journal = await openRoleLog(settings, logger, 'partitions')
  try {
    const by = `${name} of ${hostname()}`
    const spread = await DeviceSpread.open({ log, journal, clock: systemClock, logger }, by)
    assertGrownHere(settings, log, spread)
    return spread
  } catch (error) {
    await journal.close()
    throw error
  }
}

/** Partitions that somebody added by other means were used by some edges and not by others, and devices would lose their order. */
function assertGrownHere(
  { partitions }: Settings,
  { topic, partitionCount }: Log,
  { count, growths }: DeviceSpread,
): void {
  if (partitions === undefined || growths.length > 0 || count !== partitionCount || count === partitions) return
  throw new PenstockError(
    'LOG_PARTITIONS_MISMATCH',
    `topic ${topic} has ${count} partitions, the settings say ${partitions}, and penstock grow-partitions did not add them. If that is meant, set PENSTOCK_PARTITIONS=${count} for all processes`,
  )
}

/** The same for a role, which hears of changes until it closes it. */
export async function followDeviceSpread(...asked: Parameters<typeof openDeviceSpread>): Promise<DeviceSpread> {
  const spread = await openDeviceSpread(...asked)
  spread.watch()
  return spread
}
