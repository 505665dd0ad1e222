import { randomBytes } from 'node:crypto'
import { ownerPolicyName, readOwnerKey } from '#control/auth/policies.ts'
import { createSasToken } from '#control/auth/sas-token.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { deviceKeyOf } from './device-identities.ts'
import { deviceIdOf, type LoadOptions } from './options.ts'

export interface RegistryAccess {
  /** Address of the registry's REST API. */
  readonly url: string
  /** Base64 key of the policy iothubowner. */
  readonly ownerKey: string
  /** Name of the hub in the token's scope. */
  readonly hubName: string
}

export interface RegisteredDevices {
  /** Makes each device's key: `LoadOptions.deviceKeySecret`. */
  readonly secret: string
  /** Deletes them again; what the registry refuses is left. */
  remove(): Promise<void>
}

/** Requests under way at once. */
const requestsMax = 4

/**
 * Creates all devices of a run, a hundred a request.
 * @throws CONTROL_UNREACHABLE, CONTROL_REFUSED
 */
export async function registerDevices(
  workloads: readonly LoadOptions[],
  access: RegistryAccess,
): Promise<RegisteredDevices> {
  const secret = randomBytes(32).toString('base64')
  const ids = workloads.flatMap(({ run, firstDevice, connections }) =>
    Array.from({ length: connections }, (_, index) => deviceIdOf(run, firstDevice + index)),
  )
  await inBulk(ids, access, (id) => ({
    id,
    importMode: 'createOrUpdate',
    status: 'enabled',
    authentication: {
      type: 'sas',
      symmetricKey: { primaryKey: deviceKeyOf(secret, id), secondaryKey: deviceKeyOf(secret, `${id}/2`) },
    },
  }))
  return {
    secret,
    remove: () => inBulk(ids, access, (id) => ({ id, importMode: 'delete' })).catch(() => undefined),
  }
}

/** The owner's key: as given, or as the first start wrote it under the data folder. @throws LOADTEST_OPTIONS_INVALID */
export function ownerKeyOf(given: string | undefined, dataDir: string | undefined): string | undefined {
  if (given !== undefined || dataDir === undefined) return given
  const key = readOwnerKey(dataDir)
  if (key === undefined) throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--data-dir ${dataDir}: has no owner key`)
  return key
}

async function inBulk(ids: readonly string[], access: RegistryAccess, itemOf: (id: string) => object): Promise<void> {
  const waiting = [...ids]
  const work = async () => {
    while (waiting.length > 0) await bulk(waiting.splice(0, limits.bulkOperationsMax).map(itemOf), access)
  }
  await Promise.all(Array.from({ length: requestsMax }, work))
}

async function bulk(items: readonly object[], { url, ownerKey, hubName }: RegistryAccess): Promise<void> {
  const authorization = createSasToken({
    scope: hubName,
    key: ownerKey,
    policyName: ownerPolicyName,
    expiresAtMs: Date.now() + 300_000,
  })
  let response: Response
  try {
    response = await fetch(new URL('/devices', url), {
      method: 'POST',
      headers: { Authorization: authorization, 'Content-Type': 'application/json; charset=utf-8' },
      body: JSON.stringify(items),
    })
  } catch (cause) {
    throw new PenstockError('CONTROL_UNREACHABLE', `nothing answers at ${url}`, { cause })
  }
  const text = await response.text()
  if (!response.ok) throw new PenstockError('CONTROL_REFUSED', `registering devices: ${text.slice(0, 300)}`)
}
