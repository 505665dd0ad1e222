import { randomBytes } from 'node:crypto'
import { type RestAccess, RestClient } from '#control/client/client.ts'
import { readOwnerKey } from '#control/trust/owner-key.ts'
import { deviceIdOf, type LoadOptions } from '#loadtest/options/load-options.ts'
import { nothing } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { deviceKeyOf } from './device-identities.ts'

export interface RegisteredDevices {
  /** Makes each device's key: `LoadOptions.deviceKeySecret`. */
  readonly secret: string
  /** Deletes them again. @returns false: the registry did not let all of them be deleted */
  remove(): Promise<boolean>
}

/** Requests under way at once. */
const requestsMax = 4

/**
 * Creates all devices of a run, a hundred a request, or none: what there is of them is deleted if not all can be.
 * @throws CONTROL_UNREACHABLE, CONTROL_REFUSED
 */
export async function registerDevices(
  workloads: readonly LoadOptions[],
  access: RestAccess,
): Promise<RegisteredDevices> {
  const secret = randomBytes(32).toString('base64')
  const ids = workloads.flatMap(({ run, firstDevice, connections }) =>
    Array.from({ length: connections }, (_, index) => deviceIdOf(run, firstDevice + index)),
  )
  const remove = () =>
    inBulk(ids, access, (id) => ({ id, importMode: 'delete' })).then(
      () => true,
      () => false,
    )
  const creating = inBulk(ids, access, (id) => ({
    id,
    importMode: 'createOrUpdate',
    status: 'enabled',
    authentication: {
      type: 'sas',
      symmetricKey: { primaryKey: deviceKeyOf(secret, id), secondaryKey: deviceKeyOf(secret, `${id}/2`) },
    },
  }))
  await creating.catch(async (error: unknown) => {
    await remove()
    throw error
  })
  return { secret, remove }
}

/** The owner's key: as given, or as the first start wrote it under the data folder. @throws LOADTEST_OPTIONS_INVALID */
export function ownerKeyOf(given: string | undefined, dataDir: string | undefined): string | undefined {
  if (given !== undefined || dataDir === undefined) return given
  const key = readOwnerKey(dataDir)
  if (key === undefined) throw new PenstockError('LOADTEST_OPTIONS_INVALID', `--data-dir ${dataDir}: has no owner key`)
  return key
}

/** Ends once no request is under way any more, also if one of them fails: then the others go on. */
async function inBulk(ids: readonly string[], access: RestAccess, itemOf: (id: string) => object): Promise<void> {
  const client = new RestClient(access)
  const waiting = [...ids]
  const work = async () => {
    while (waiting.length > 0)
      await client.json(nothing, 'POST', '/devices', waiting.splice(0, limits.bulkOperationsMax).map(itemOf))
  }
  const ended = await Promise.allSettled(Array.from({ length: requestsMax }, work))
  const failed = ended.find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
