import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { checkIdentityContent, type Identity, type IdentityContent } from './identities/identity.ts'
import { type IdentityRow, identityFromRow, selectIdentities } from './identities/identity-rows.ts'
import { createIdentity, deleteIdentity, replaceIdentity, unknownFault } from './identities/identity-writes.ts'
import { insertAll, runBulk } from './identities/registry-bulk.ts'
import { announce, announceChannel, announcementFromPayload } from './presence/announcements.ts'
import { recordBeat, recordPresence, resetLostEdges, resetPresence } from './presence/presence.ts'
import { runQuery } from './query/run-query.ts'
import { deleteQuotaRow, putQuotaRow, quotaRows } from './quotas/quota-rows.ts'
import type {
  ActivityRecord,
  Announcement,
  BulkOperation,
  BulkOutcome,
  CertificateAuthority,
  DeviceCredentials,
  DeviceQuota,
  IdentityChange,
  IdentityCredentials,
  IfMatch,
  KeyName,
  Policy,
  PresenceRecord,
  QueryPage,
  QueryResult,
  Registry,
  RegistryChange,
  RegistryStatistics,
  Trust,
} from './registry.ts'
import type { Database } from './store/database.ts'
import { changeChannel, changeFromPayload, notifyIdentities, notifyTrust } from './store/registry-changes.ts'
import {
  authorityRows,
  deleteAuthorityRow,
  insertPolicyRows,
  policyRows,
  putAuthorityRow,
  putPolicyRow,
  rekeyPolicyRow,
} from './trust/trust-rows.ts'

/** The registry over the control store; `open` begins to listen for changes. It owns the database from then on. */
export class SqlRegistry implements Registry {
  readonly #database: Database
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #listeners = new Set<(change: RegistryChange) => void>()
  readonly #announcedListeners = new Set<(announcement: Announcement) => void>()
  #unlisten: (() => Promise<void>) | undefined

  private constructor(database: Database, clock: Clock, logger: Logger) {
    this.#database = database
    this.#clock = clock
    this.#logger = logger
  }

  static async open(database: Database, clock: Clock, logger: Logger): Promise<SqlRegistry> {
    const registry = new SqlRegistry(database, clock, logger)
    registry.#unlisten = await database.listen(
      [changeChannel, announceChannel],
      (payload, channel) => {
        if (channel === changeChannel) return registry.#tell(registry.#listeners, changeFromPayload(payload))
        const announcement = announcementFromPayload(payload)
        if (announcement) registry.#tell(registry.#announcedListeners, announcement)
      },
      () => registry.#tell(registry.#listeners, { kind: 'resync' }),
    )
    return registry
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

  async bulk(operations: readonly BulkOperation[]): Promise<BulkOutcome[]> {
    const { outcomes } = await this.#database.transaction(async (queries) => {
      const result = await runBulk(queries, operations, this.#clock.nowMs())
      await notifyIdentities(queries, result.changes)
      return result
    })
    return [...outcomes]
  }

  async importDevices(contents: readonly IdentityContent[]): Promise<number> {
    for (const content of contents) checkIdentityContent(content)
    return this.#database.transaction(async (queries) => {
      const changes = await insertAll(queries, contents, this.#clock.nowMs())
      await notifyIdentities(queries, changes)
      return changes.length
    })
  }

  async statistics(): Promise<RegistryStatistics> {
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

  query(text: string, page: QueryPage): Promise<QueryResult> {
    return runQuery(this.#database, text, page)
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

  async trust(): Promise<Trust> {
    return { policies: await policyRows(this.#database), authorities: await authorityRows(this.#database) }
  }

  async addPolicies(policies: readonly Policy[]): Promise<void> {
    await this.#database.transaction(async (queries) => {
      await insertPolicyRows(queries, policies)
      await notifyTrust(queries)
    })
  }

  async putPolicy(policy: Policy): Promise<void> {
    await this.#database.transaction(async (queries) => {
      await putPolicyRow(queries, policy)
      await notifyTrust(queries)
    })
  }

  rekeyPolicy(name: string, which: KeyName, key: string): Promise<Policy | undefined> {
    return this.#database.transaction(async (queries) => {
      const policy = await rekeyPolicyRow(queries, name, which, key)
      if (policy) await notifyTrust(queries)
      return policy
    })
  }

  async putAuthority(authority: CertificateAuthority): Promise<void> {
    await this.#database.transaction(async (queries) => {
      await putAuthorityRow(queries, authority, this.#clock.nowMs())
      await notifyTrust(queries)
    })
  }

  deleteAuthority(name: string): Promise<boolean> {
    return this.#database.transaction(async (queries) => {
      const deleted = await deleteAuthorityRow(queries, name)
      if (deleted) await notifyTrust(queries)
      return deleted
    })
  }

  quotas(): Promise<DeviceQuota[]> {
    return quotaRows(this.#database)
  }

  putQuota(quota: DeviceQuota): Promise<void> {
    return this.#database.transaction((queries) => putQuotaRow(queries, quota))
  }

  deleteQuota(deviceId: string): Promise<void> {
    return deleteQuotaRow(this.#database, deviceId)
  }

  recordPresence(records: readonly PresenceRecord[]): Promise<void> {
    return recordPresence(this.#database, records)
  }

  resetPresence(edgeId: string, atMs: number): Promise<IdentityId[]> {
    return resetPresence(this.#database, edgeId, atMs)
  }

  recordBeat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
    return recordBeat(this.#database, edgeId, heard)
  }

  resetLostEdges(silentMsMax: number, atMs: number): Promise<IdentityId[]> {
    return resetLostEdges(this.#database, silentMsMax, atMs)
  }

  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number> {
    return announce(this.#database, edge, opened, this.#clock.nowMs())
  }

  onAnnounced(listener: (announcement: Announcement) => void): () => void {
    this.#announcedListeners.add(listener)
    return () => this.#announcedListeners.delete(listener)
  }

  onChange(listener: (change: RegistryChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    this.#announcedListeners.clear()
    await this.#unlisten?.()
    await this.#database.close()
  }

  #tell<Told>(listeners: Iterable<(told: Told) => void>, told: Told): void {
    for (const listener of listeners) {
      try {
        listener(told)
      } catch (error) {
        this.#logger.error('a listener to the registry failed', { error })
      }
    }
  }
}

function changeOf({ deviceId, moduleId }: IdentityId, change: IdentityChange['change']): IdentityChange {
  return { deviceId, moduleId, change }
}

/** Module ids are any text, `__proto__` too. */
function emptyRecord(): Record<string, IdentityCredentials> {
  return Object.create(null)
}
