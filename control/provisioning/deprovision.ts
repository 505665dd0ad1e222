/** Takes devices back from the hubs that provisioning gave them to: their connections end, and their registrations with them. */
import { isPenstockError } from '#schemas/errors.ts'
import type { HubDevices } from './hub-devices.ts'
import type { Registrations } from './provisioning.ts'
import type { Registration } from './registration.ts'

/** Devices of the hub of this name; `undefined`: it is not linked any more, and has to be seen to by hand. */
export type DevicesOf = (hostName: string) => Promise<HubDevices | undefined>

const pageMax = 100
/** A device that registers without end is not chased. */
const hubsMax = 5

/**
 * The device, and then its registration: what fails in between is found again. A device that got another hub meanwhile is taken from that,
 * too. @throws REGISTRY_ETAG_STALE: again and again
 */
export async function deprovision(
  registrations: Registrations,
  devicesOf: DevicesOf,
  registration: Registration,
): Promise<void> {
  let current: Registration | undefined = registration
  for (let hubs = 1; current !== undefined; hubs++) {
    const { registrationId, deviceId, hub, etag } = current
    if (hub !== undefined) await (await devicesOf(hub))?.remove(deviceId)
    try {
      await registrations.delete(registrationId, etag)
      return
    } catch (error) {
      if (hubs === hubsMax || !isPenstockError(error, 'REGISTRY_ETAG_STALE')) throw error
    }
    current = await registrations.get(registrationId)
  }
}

/** All that registered by a group. @returns how many they were */
export async function deprovisionGroup(
  registrations: Registrations,
  devicesOf: DevicesOf,
  groupId: string,
): Promise<number> {
  let count = 0
  for (;;) {
    const page = await registrations.ofGroup(groupId, '', pageMax)
    if (page.length === 0) return count
    for (const registration of page) await deprovision(registrations, devicesOf, registration)
    count += page.length
  }
}
