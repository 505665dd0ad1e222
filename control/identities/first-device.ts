import type { Registry } from '../registry.ts'
import { generatedKeys, type Identity } from './identity.ts'

/** The device that a first start makes, so that something can be tried at once; `undefined` if the registry has devices already. */
export async function ensureFirstDevice(registry: Registry, deviceId: string): Promise<Identity | undefined> {
  if ((await registry.devicesAfter('', 1)).length > 0) return undefined
  return registry.create({
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
