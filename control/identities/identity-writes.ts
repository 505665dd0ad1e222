/**
 * Single changes of identities inside a caller's transaction. A refusal is thrown before anything is written and without a
 * failed statement, so that a transaction of many operations goes on after it.
 */

import type { Queries } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { IfMatch } from './identities.ts'
import {
  checkIdentityContent,
  completedAuthentication,
  existsFault,
  type Identity,
  type IdentityContent,
  newEtag,
  unknownFault,
} from './identity.ts'
import {
  type IdentityRow,
  identityFromRow,
  insertIdentities,
  newIdentity,
  selectIdentities,
  updateIdentity,
} from './identity-rows.ts'

export async function createIdentity(queries: Queries, content: IdentityContent, nowMs: number): Promise<Identity> {
  checkIdentityContent(content)
  if (content.moduleId !== undefined) await reserveModule(queries, content.deviceId)
  const identity = newIdentity(
    { ...content, authentication: completedAuthentication(content.authentication, undefined) },
    nowMs,
  )
  const inserted = await insertIdentities(queries, [identity])
  if (inserted.length === 0) throw existsFault(content)
  return identity
}

/** Holds the device row, so that modules are counted by one writer at a time and the device cannot vanish meanwhile. */
async function reserveModule(queries: Queries, deviceId: string): Promise<void> {
  const parents = await queries.query(
    `SELECT 1 FROM penstock.identities WHERE device_id = $1 AND module_id = '' FOR UPDATE`,
    [deviceId],
  )
  if (parents.length === 0) throw unknownFault({ deviceId, moduleId: undefined })
  const [modules] = await queries.query<{ count: number }>(
    `SELECT count(*)::integer AS count FROM penstock.identities WHERE device_id = $1 AND module_id <> ''`,
    [deviceId],
  )
  if ((modules?.count ?? 0) >= limits.modulesPerDeviceMax) {
    throw new PenstockError('REGISTRY_MODULES_FULL', `a device has at most ${limits.modulesPerDeviceMax} modules`)
  }
}

export async function replaceIdentity(
  queries: Queries,
  content: IdentityContent,
  ifMatch: IfMatch,
  nowMs: number,
): Promise<Identity> {
  checkIdentityContent(content)
  const before = await lockedIdentity(queries, content)
  if (!before) throw unknownFault(content)
  checkEtag(before, ifMatch)
  const identity: Identity = {
    ...before,
    ...content,
    authentication: completedAuthentication(content.authentication, before.authentication),
    etag: newEtag(),
    statusUpdatedAtMs: content.status === before.status ? before.statusUpdatedAtMs : nowMs,
  }
  await updateIdentity(queries, identity)
  return identity
}

export async function deleteIdentity(queries: Queries, id: IdentityId, ifMatch: IfMatch): Promise<void> {
  const before = await lockedIdentity(queries, id)
  if (!before) throw unknownFault(id)
  checkEtag(before, ifMatch)
  const wholeDevice = id.moduleId === undefined
  for (const table of ['identities', 'presence']) {
    await queries.query(
      `DELETE FROM penstock.${table} WHERE device_id = $1 ${wholeDevice ? '' : 'AND module_id = $2'}`,
      wholeDevice ? [id.deviceId] : [id.deviceId, id.moduleId ?? ''],
    )
  }
}

/** The identity, held against other writers until the transaction ends. */
export async function lockedIdentity(queries: Queries, id: IdentityId): Promise<Identity | undefined> {
  const [row] = await queries.query<IdentityRow>(
    `${selectIdentities} WHERE i.device_id = $1 AND i.module_id = $2 FOR UPDATE OF i`,
    [id.deviceId, id.moduleId ?? ''],
  )
  return row && identityFromRow(row)
}

function checkEtag(identity: Identity, ifMatch: IfMatch): void {
  if (ifMatch !== undefined && ifMatch !== identity.etag) {
    throw new PenstockError('REGISTRY_ETAG_STALE', 'the identity was changed since it was read: read it again')
  }
}
