import type { IdentityChange } from '#control/store/changes.ts'
import type { Queries } from '#control/store/database.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { checkIdentityId, identityText } from '#schemas/identity-id.ts'
import type { BulkOperation } from './identities.ts'
import {
  argumentFault,
  checkIdentityContent,
  completedAuthentication,
  existsFault,
  type IdentityContent,
} from './identity.ts'
import { insertIdentities, newIdentity } from './identity-rows.ts'
import { createIdentity, deleteIdentity, lockedIdentity, replaceIdentity } from './identity-writes.ts'

/** Of one operation what it changed, or why it was refused. */
export type BulkResult = IdentityChange | Error

/** Runs operations in order within one transaction; those refused leave no trace. Devices that are new are made in one statement. */
export async function runBulk(
  queries: Queries,
  operations: readonly BulkOperation[],
  nowMs: number,
): Promise<BulkResult[]> {
  if (operations.length === 0) return []
  if (allMakeDistinctDevices(operations)) return makeAll(queries, operations, nowMs)
  const results: BulkResult[] = []
  for (const operation of operations) results.push(await resultOf(queries, operation, nowMs))
  return results
}

async function resultOf(queries: Queries, operation: BulkOperation, nowMs: number): Promise<BulkResult> {
  try {
    return await runOne(queries, operation, nowMs)
  } catch (error) {
    // Anything but a refusal (the store is gone, say) fails the whole transaction.
    if (!isPenstockError(error) || error.disposition !== 'reject') throw error
    return error
  }
}

function allMakeDistinctDevices(operations: readonly BulkOperation[]): boolean {
  const ids = new Set<string>()
  for (const { mode, content } of operations) {
    if (!mode.startsWith('create') || content.moduleId !== undefined) return false
    ids.add(content.deviceId)
  }
  return ids.size === operations.length
}

async function makeAll(queries: Queries, operations: readonly BulkOperation[], nowMs: number): Promise<BulkResult[]> {
  const refused = new Map<IdentityContent, Error>()
  const wanted: IdentityContent[] = []
  for (const { content } of operations) {
    try {
      checkIdentityContent(content)
      wanted.push(content)
    } catch (error) {
      if (!isPenstockError(error)) throw error
      refused.set(content, error)
    }
  }
  const created = new Map((await insertAll(queries, wanted, nowMs)).map((change) => [change.deviceId, change]))
  const results: BulkResult[] = []
  for (const operation of operations) {
    const { mode, content } = operation
    const isThere = mode === 'create' ? existsFault(content) : undefined
    const result = refused.get(content) ?? created.get(content.deviceId) ?? isThere
    results.push(result ?? (await resultOf(queries, operation, nowMs)))
  }
  return results
}

/** Inserts devices that were checked, with keys where they have none; ids that exist are left out. */
export async function insertAll(
  queries: Queries,
  contents: readonly IdentityContent[],
  nowMs: number,
): Promise<readonly IdentityChange[]> {
  const identities = contents.map((content) =>
    newIdentity({ ...content, authentication: completedAuthentication(content.authentication, undefined) }, nowMs),
  )
  const inserted = await insertIdentities(queries, identities)
  return inserted.map((id) => ({ ...id, change: 'created' }))
}

async function runOne(queries: Queries, operation: BulkOperation, nowMs: number): Promise<IdentityChange> {
  const { mode, content, etag } = operation
  const { deviceId, moduleId } = content
  // A statement that the store refuses would be the end of the whole transaction.
  checkIdentityId(content)
  const done = (change: IdentityChange['change']): IdentityChange => ({ deviceId, moduleId, change })
  switch (mode) {
    case 'create':
      await createIdentity(queries, content, nowMs)
      return done('created')
    case 'update':
      await replaceIdentity(queries, content, undefined, nowMs)
      return done('updated')
    case 'updateIfMatchEtag':
      await replaceIdentity(queries, content, required(etag, operation), nowMs)
      return done('updated')
    case 'delete':
      await deleteIdentity(queries, content, undefined)
      return done('deleted')
    case 'deleteIfMatchEtag':
      await deleteIdentity(queries, content, required(etag, operation))
      return done('deleted')
    case 'createOrUpdate':
    case 'createOrUpdateIfMatchEtag': {
      if (!(await lockedIdentity(queries, content))) {
        await createIdentity(queries, content, nowMs)
        return done('created')
      }
      const ifMatch = mode === 'createOrUpdate' ? undefined : required(etag, operation)
      await replaceIdentity(queries, content, ifMatch, nowMs)
      return done('updated')
    }
  }
}

function required(etag: string | undefined, { mode, content }: BulkOperation): string {
  if (etag === undefined) throw argumentFault(`${mode} of ${identityText(content)} needs an eTag`)
  return etag
}
