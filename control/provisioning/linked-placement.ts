/**
 * Gives a device to a linked hub, so that whatever ends in between can be finished or taken back:
 *
 *   intent of an earlier operation taken over ─▶ device looked at ─┬─ not there, or left there: intent written ─▶ made ─┬─▶ registration written,
 *                                                                  └─ there: renewed ─────────────────────────────────┘   intent gone
 *
 * A device that was there before any intent is not taken back: who made it is not known.
 */
import type { Database } from '#control/store/database.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Refusal } from './assign-here.ts'
import type { DevicesOf } from './deprovision.ts'
import type { Enrolment } from './enrolment.ts'
import { enrolmentsInForce } from './enrolment-rows.ts'
import { credentialsOf, type LinkedDevices, type WantedDevice } from './hub-devices.ts'
import { deleteIntent, type PlacementIntent, putIntent, putIntentAgain, takeIntentOver } from './placement-intents.ts'
import type { Registration } from './registration.ts'
import { putRegistrationRows } from './registration-rows.ts'
import { settle } from './settle.ts'
import { whileBegun } from './while-begun.ts'

export interface Placing {
  readonly database: Database
  readonly logger: Logger
  readonly devices: LinkedDevices
  readonly devicesOf: DevicesOf
  /** As it is to be written. */
  readonly registration: Registration & { readonly hub: string }
  readonly enrolment: Enrolment
  readonly device: Omit<WantedDevice, 'left' | 'intend'>
  /** Where the device was. */
  readonly leaving: PlacementIntent | undefined
}

/** @returns why the device does not get the hub @throws PROVISIONING_UNREACHABLE, STORE_UNAVAILABLE */
export async function placeInLinkedHub(placing: Placing): Promise<Refusal | undefined> {
  const { database, devices, registration, device } = placing
  const before = await whileBegun(database, registration, async (queries) => ({
    credentials: await takeIntentOver(queries, registration, registration.operationId),
  }))
  if (typeof before === 'string') return before
  let credentials = before.credentials
  const intend = async (): Promise<Refusal | undefined> => {
    const intended = [...new Set([...(credentials ?? []), credentialsOf(device.authentication)])]
    const overtaken = await whileBegun(database, registration, async (queries) => {
      await putIntent(queries, { ...registration, credentials: intended })
      return undefined
    })
    if (overtaken === undefined) credentials = intended
    return overtaken
  }
  const refusal = await devices.give({ ...device, left: credentials ?? [], intend })
  if (refusal !== undefined) return refusal
  const outcome = await written(placing, credentials !== undefined)
  if (outcome !== undefined && credentials !== undefined) await takeBack(placing, { ...registration, credentials })
  return outcome
}

function written(
  { database, registration, enrolment, leaving }: Placing,
  isIntended: boolean,
): Promise<Refusal | undefined> {
  return whileBegun(database, registration, async (queries) => {
    if ((await enrolmentsInForce(queries, [enrolment])).size === 0) return 'withdrawn'
    // Whoever took the intent over takes the device away, too.
    if (isIntended && !(await deleteIntent(queries, registration))) return 'overtaken'
    if (leaving !== undefined) await putIntent(queries, leaving)
    await putRegistrationRows(queries, [registration])
    return undefined
  })
}

/** Rejects never: what it cannot do now is done later. */
async function takeBack({ database, logger, devices, devicesOf }: Placing, intent: PlacementIntent): Promise<void> {
  try {
    // It is gone where this process stood still, and another one found nothing to take back yet.
    await putIntentAgain(database, intent)
    await settle(database, intent, devices, devicesOf)
  } catch (error) {
    logger.warn('a device whose registration was withdrawn or overtaken is not taken from a linked hub yet', {
      device: intent.deviceId,
      hub: intent.hub,
      error,
    })
  }
}
