import { type IdentityChange, notifyIdentities } from '#control/store/changes.ts'
import type { Database } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { insertAll, runBulk } from './bulk-writes.ts'
import type {
  AlongsideBulk,
  BulkOperation,
  BulkOutcome,
  DeviceCredentials,
  Identities,
  IdentityCredentials,
  IdentityStatistics,
  IfMatch,
} from './identities.ts'
import { checkIdentityContent, type Identity, type IdentityContent, unknownFault } from './identity.ts'
import { type IdentityRow, identityFromRow, selectIdentities } from './identity-rows.ts'
import { createIdentity, deleteIdentity, replaceIdentity } from './identity-writes.ts'

/** Identities over the control store, which belongs to the caller. */
export class SqlIdentities implements Identities {
  readonly #database: Database
  readonly #clock: Clock

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#clock = clock
  }

  async get(id: IdentityId): Promise<Identity | undefined> {
    checkIdentityId(id)
    const [row] = await this.#database.query<IdentityRow>(
      `${selectIdentities} WHERE i.device_id = $1 AND i.module_id = $2`,
      [id.deviceId, id.moduleId ?? ''],
    )
    return row && identityFromRow(row)
  }

  create(content: IdentityContent): Promise<Identity> {
    return this.#database.transaction(async (queries) => {
      const identity = await createIdentity(queries, content, this.#clock.nowMs())
      await notifyIdentities(queries, [changeOf(content, 'created')])
      return identity
    })
  }

  replace(content: IdentityContent, ifMatch: IfMatch): Promise<Identity> {
    return this.#database.transaction(async (queries) => {
      const identity = await replaceIdentity(queries, content, ifMatch, this.#clock.nowMs())
      await notifyIdentities(queries, [changeOf(content, 'updated')])
      return identity
    })
  }

  async delete(id: IdentityId, ifMatch: IfMatch): Promise<void> {
    checkIdentityId(id)
    await this.#database.transaction(async (queries) => {
      await deleteIdentity(queries, id, ifMatch)
      await notifyIdentities(queries, [changeOf(id, 'deleted')])
    })
  }

  async modulesOf(deviceId: string): Promise<Identity[]> {
    checkIdentityId({ deviceId, moduleId: undefined })
    const rows = await this.#database.query<IdentityRow>(
      `${selectIdentities} WHERE i.device_id = $1 ORDER BY i.module_id`,
      [deviceId],
    )
    if (rows.length === 0) throw unknownFault({ deviceId, moduleId: undefined })
    return rows.slice(1).map(identityFromRow)
  }

  async devicesAfter(after: string, countMax: number): Promise<Identity[]> {
    const rows = await this.#database.query<IdentityRow>(
      `${selectIdentities} WHERE i.device_id > $1 AND i.module_id = '' ORDER BY i.device_id LIMIT $2`,
      [after, countMax],
    )
    return rows.map(identityFromRow)
  }

  bulk(operations: readonly BulkOperation[], alongside?: AlongsideBulk): Promise<BulkOutcome[]> {
    return this.#database.transaction(async (queries) => {
      const results = await runBulk(queries, operations, this.#clock.nowMs())
      await notifyIdentities(
        queries,
        results.flatMap((result) => (result instanceof Error ? [] : [result])),
      )
      await alongside?.(
        queries,
        results.map((result) => (result instanceof Error ? result : result.change)),
      )
      return results.map((result) => (result instanceof Error ? result : undefined))
    })
  }

  async importDevices(contents: readonly IdentityContent[]): Promise<number> {
    for (const content of contents) checkIdentityContent(content)
    return this.#database.transaction(async (queries) => {
      const changes = await insertAll(queries, contents, this.#clock.nowMs())
      await notifyIdentities(queries, changes)
      return changes.length
    })
  }

  async statistics(): Promise<IdentityStatistics> {
    const [row] = await this.#database.query<{ devices: number; disabled: number; connected: number }>(
      `SELECT (SELECT count(*) FROM penstock.identities WHERE module_id = '')::integer AS devices,
         (SELECT count(*) FROM penstock.identities WHERE module_id = '' AND status = 'disabled')::integer AS disabled,
         (SELECT count(*) FROM penstock.presence WHERE connected AND module_id = '')::integer AS connected`,
    )
    return {
      devices: row?.devices ?? 0,
      devicesDisabled: row?.disabled ?? 0,
      devicesConnected: row?.connected ?? 0,
    }
  }

  async credentials(deviceIds: readonly string[]): Promise<DeviceCredentials[]> {
    const rows = await this.#database.query<IdentityRow>(
      `SELECT * FROM penstock.identities WHERE device_id = ANY($1::text[]) ORDER BY device_id, module_id`,
      [deviceIds],
    )
    const found: DeviceCredentials[] = []
    let modules = emptyRecord()
    for (const row of rows) {
      const { generationId, status, authentication, moduleId, deviceId } = identityFromRow(row)
      const credentials = { generationId, status, authentication }
      if (moduleId === undefined) {
        modules = emptyRecord()
        found.push({ deviceId, ...credentials, modules })
      } else modules[moduleId] = credentials
    }
    return found
  }
}

function changeOf({ deviceId, moduleId }: IdentityId, change: IdentityChange['change']): IdentityChange {
  return { deviceId, moduleId, change }
}

/** Module ids are any text, `__proto__` too. */
function emptyRecord(): Record<string, IdentityCredentials> {
  return Object.create(null)
}
