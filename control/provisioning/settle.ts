/**
 * Takes back what an operation left in a hub:
 *
 *   device looked at ─▶ intent taken over, if nobody has gone on with it ─▶ device removed, as it was looked at ─▶ intent gone
 *                          └── the registration says that hub, or the same one by another name: intent gone, the device stays
 *
 * It was looked at before the intent was taken over, and whoever gives it to this hub later takes the intent over and writes it anew. So
 * nothing is removed that was given since. What ends in between, or finds the hub away, is begun again.
 */
import { randomUUID } from 'node:crypto'
import type { Database } from '#control/store/database.ts'
import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { lockIds } from './assign-here.ts'
import type { DevicesOf } from './deprovision.ts'
import { type HubDevices, isSame, type SeenDevice } from './hub-devices.ts'
import {
  deleteIntent,
  deleteIntentsLeftElsewhere,
  intentsLeft,
  isIntentHeld,
  type PlacementIntent,
  takeIntentOver,
} from './placement-intents.ts'
import { lockedRegistrationRow } from './registration-rows.ts'

/**
 * @param devices of the hub that the intent names
 * @param before as the device was seen there before; left out: as it is now
 * @throws PROVISIONING_UNREACHABLE, STORE_UNAVAILABLE: the intent stays
 */
export async function settle(
  database: Database,
  intent: PlacementIntent,
  devices: HubDevices,
  devicesOf: DevicesOf,
  before?: SeenDevice,
): Promise<void> {
  const { deviceId, credentials, seenEtag } = intent
  const seen = before ?? (await devices.seen(deviceId))
  const taken = await takenOver(database, intent)
  if (taken === undefined) return
  const isOurs = seen !== undefined && credentials.includes(seen.credentials) && seen.etag === (seenEtag ?? seen.etag)
  // One whose etag is known is written anew when it gets another hub. Any other may be what the hub by its other name was given.
  const stays = isOurs && seenEtag === undefined && (await isSeenIn(taken.otherHub, deviceId, seen, devicesOf))
  if (stays === 'not known') return
  const isGone = !isOurs || stays || (await devices.remove(deviceId, seen.etag))
  // It was changed since. What was seen long before is somebody else's by now; else it is looked at once more.
  if (!isGone && before === undefined) return
  await deleteIntent(database, { ...intent, operationId: taken.operationId })
}

/** Whether the hub where the registration says the device is shows the very same one. A hub that is away, or not linked now, may be asked later. */
async function isSeenIn(
  hub: string | undefined,
  deviceId: string,
  seen: SeenDevice,
  devicesOf: DevicesOf,
): Promise<boolean | 'not known'> {
  if (hub === undefined) return false
  try {
    const devices = await devicesOf(hub)
    return devices === undefined ? 'not known' : isSame(await devices.seen(deviceId), seen)
  } catch (error) {
    if (!isPenstockError(error, 'PROVISIONING_UNREACHABLE')) throw error
    return 'not known'
  }
}

/**
 * What operations left that ended before they were done. A hub that is away is asked again with the next call.
 * @param hubs all that there are
 * @returns the most that were left in a hub that is there, `limits.intentsSettledAtOnceMax` at most @throws STORE_UNAVAILABLE
 */
export async function settleLeft(
  database: Database,
  hubs: readonly string[],
  devicesOf: DevicesOf,
  logger: Logger,
): Promise<number> {
  let most = 0
  // Of a hub that was unlinked while a registration went there.
  await deleteIntentsLeftElsewhere(database, hubs, limits.allocationMsMax)
  for (const hub of hubs) {
    const left = await intentsLeft(database, hub, limits.allocationMsMax, limits.intentsSettledAtOnceMax)
    try {
      const devices = left.length === 0 ? undefined : await devicesOf(hub)
      if (devices === undefined) continue
      for (const intent of left) await settle(database, intent, devices, devicesOf)
      most = Math.max(most, left.length)
    } catch (error) {
      if (!isPenstockError(error, 'PROVISIONING_UNREACHABLE')) throw error
      logger.warn('devices that an interrupted registration left in a hub are not taken from it yet', { hub, error })
    }
  }
  return most
}

interface TakenOver {
  /** Under which name the device is taken away. */
  readonly operationId: string
  /** Where its registration says that it is. */
  readonly otherHub: string | undefined
}

/** @returns `undefined`: the device stays */
function takenOver(database: Database, intent: PlacementIntent): Promise<TakenOver | undefined> {
  return database.transaction(async (queries) => {
    await lockIds(queries, [intent.registrationId])
    if (!(await isIntentHeld(queries, intent))) return undefined
    const registration = await lockedRegistrationRow(queries, intent.registrationId)
    const hub = registration?.deviceId === intent.deviceId ? registration.hub : undefined
    if (hub === intent.hub) {
      await deleteIntent(queries, intent)
      return undefined
    }
    const operationId = `settled.${randomUUID()}`
    await takeIntentOver(queries, intent, operationId)
    return { operationId, otherHub: hub }
  })
}
