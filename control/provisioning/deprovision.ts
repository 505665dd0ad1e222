/** Takes devices back from the hubs that provisioning gave them to: their connections end, and their registrations with them. */
import type { HubDevices } from './hub-devices.ts'
import type { Registrations } from './provisioning.ts'
import type { Registration } from './registration.ts'

/** Devices of the hub of this name; `undefined`: it is not linked any more, and has to be seen to by hand. */
export type DevicesOf = (hostName: string) => Promise<HubDevices | undefined>

const pageMax = 100

/** The device, and then its registration: what fails in between is found again. */
export async function deprovision(
  registrations: Registrations,
  devicesOf: DevicesOf,
  { registrationId, deviceId, hub }: Registration,
): Promise<void> {
  if (hub !== undefined) await (await devicesOf(hub))?.remove(deviceId)
  await registrations.delete(registrationId, undefined)
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
