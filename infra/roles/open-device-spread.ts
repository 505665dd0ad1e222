import { hostname } from 'node:os'
import { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'
import { openRoleLog } from './open-role-log.ts'

/**
 * Over how many partitions of telemetry devices are spread.
 * @param log of telemetry, which stays its opener's @param name of this process, for people @throws as `openLog`
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
    return await DeviceSpread.open({ log, journal, clock: systemClock, logger }, by)
  } catch (error) {
    await journal.close()
    throw error
  }
}

/** The same for a role, which hears of changes until it closes it. */
export async function followDeviceSpread(...asked: Parameters<typeof openDeviceSpread>): Promise<DeviceSpread> {
  const spread = await openDeviceSpread(...asked)
  spread.watch()
  return spread
}
