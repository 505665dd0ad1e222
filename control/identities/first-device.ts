import type { Identities } from './identities.ts'
import { generatedKeys, type Identity } from './identity.ts'

/** The device that a first start makes, so that something can be tried at once; `undefined` if there are devices already. */
export async function ensureFirstDevice(identities: Identities, deviceId: string): Promise<Identity | undefined> {
  if ((await identities.devicesAfter('', 1)).length > 0) return undefined
  return identities.create({
    deviceId,
    moduleId: undefined,
    status: 'enabled',
    statusReason: undefined,
    authentication: generatedKeys,
    iotEdge: false,
    deviceScope: undefined,
    parentScope: undefined,
    managedBy: undefined,
  })
}
