/** What services change of twins, inside a caller's transaction. A refusal is thrown before anything is written. */
import type { IfMatch } from '#control/identities/identities.ts'
import { unknownFault } from '#control/identities/identity.ts'
import { type IdentityRow, identityFromRow, selectIdentitiesWith } from '#control/identities/identity-rows.ts'
import type { Queries } from '#control/store/database.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId, identityText, isIdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { checkSize } from './patch-json.ts'
import { emptyObject, patched, replaced, type Section } from './section.ts'
import { etagText } from './twin-document.ts'
import { idColumns, joinTwins, type TwinRow, twinColumns, twinFromRow } from './twin-rows.ts'
import type { IdentityTwin, Twin, TwinPatch } from './twins.ts'

export type WriteKind = 'patch' | 'replace'

const selectTwin = `${selectIdentitiesWith(`, ${twinColumns}`, joinTwins)} WHERE i.device_id = $1 AND i.module_id = $2`

export async function readTwin(queries: Queries, id: IdentityId): Promise<IdentityTwin> {
  checkIdentityId(id)
  const [row] = await queries.query<IdentityRow & TwinRow>(selectTwin, [id.deviceId, id.moduleId ?? ''])
  if (!row) throw unknownFault(id)
  return { identity: identityFromRow(row), twin: twinFromRow(row) }
}

/** What a service writes to one twin. */
export interface TwinWrite {
  readonly id: IdentityId
  readonly kind: WriteKind
  readonly patch: TwinPatch
  readonly ifMatch: IfMatch
}

/** Nothing was written: another transaction holds the twin. */
export const held = 'held'

/** The twin as a write left it, or why it was refused: REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN, REGISTRY_ETAG_STALE, TWIN_INVALID. */
export type WriteOutcome = IdentityTwin | PenstockError | typeof held

/** What becomes of twins that another transaction holds: their writes wait for it, and all others with them, or are left out as `held`. */
export type WhereHeld = 'waits' | 'leaves out'

/**
 * Each write is carried out or refused by itself; those of one twin in their order. All twins are locked before the first is read, in the
 * order of their ids, and what changed is written together.
 */
export async function writeTwins(
  queries: Queries,
  writes: readonly TwinWrite[],
  nowMs: number,
  whereHeld: WhereHeld,
): Promise<readonly WriteOutcome[]> {
  const twins = await lockedTwins(queries, writes, whereHeld)
  const written = new Map<string, IdentityTwin>()
  const outcomes = writes.map((write) => {
    try {
      checkIdentityId(write.id)
      const key = identityText(write.id)
      const before = twins.get(key)
      if (before === undefined) throw unknownFault(write.id)
      if (before === held) return held
      const after = { identity: before.identity, twin: twinAfter(before.twin, write, nowMs) }
      if (after.twin !== before.twin) written.set(key, after)
      twins.set(key, after)
      return after
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'reject') throw error
      return error
    }
  })
  await updateTwins(queries, [...written.values()])
  return outcomes
}

/** Leaves of identities `i` those that `idColumns` gives. */
const joinGiven = 'JOIN unnest($1::text[], $2::text[]) AS x (d, m) ON i.device_id = x.d AND i.module_id = x.m'

/** Those that have a row which nobody holds, and holds them: nearly always all, so that one statement does. */
const lockTwins = `${selectIdentitiesWith(
  `, ${twinColumns}`,
  `JOIN penstock.twins t ON t.device_id = i.device_id AND t.module_id = i.module_id
   ${joinGiven}`,
)} ORDER BY i.device_id, i.module_id FOR UPDATE OF t SKIP LOCKED`

/**
 * The twins by `identityText`, held against other writers until the transaction ends; rows are made where there are none. Unknown
 * identities are left out.
 */
async function lockedTwins(
  queries: Queries,
  writes: readonly TwinWrite[],
  whereHeld: WhereHeld,
): Promise<Map<string, IdentityTwin | typeof held>> {
  const ids = writes.map(({ id }) => id).filter(isWellFormed)
  const known = idColumns([...new Map(ids.map((id) => [identityText(id), id])).values()])
  if (whereHeld === 'leaves out') {
    const rows = await queries.query<IdentityRow & TwinRow>(lockTwins, known)
    if (rows.length === known[0].length) return new Map(rows.map(twinOfRow))
  }
  const skipped = whereHeld === 'waits' ? '' : 'SKIP LOCKED'
  await queries.query(
    `INSERT INTO penstock.twins (device_id, module_id)
     SELECT i.device_id, i.module_id FROM penstock.identities i
     ${joinGiven}
     ORDER BY i.device_id, i.module_id FOR KEY SHARE OF i ${skipped} ON CONFLICT DO NOTHING`,
    known,
  )
  const locked = await queries.query<Pick<IdentityRow, 'device_id' | 'module_id'>>(
    `SELECT t.device_id, t.module_id FROM penstock.twins t
     JOIN unnest($1::text[], $2::text[]) AS x (d, m) ON t.device_id = x.d AND t.module_id = x.m
     ORDER BY t.device_id, t.module_id FOR UPDATE OF t ${skipped}`,
    known,
  )
  const ours = new Set(
    locked.map((row) => identityText({ deviceId: row.device_id, moduleId: row.module_id || undefined })),
  )
  // A statement of its own: it sees what was committed while those before waited for their locks.
  const rows = await queries.query<IdentityRow & TwinRow>(
    selectIdentitiesWith(`, ${twinColumns}`, `${joinTwins} ${joinGiven}`),
    known,
  )
  const twins = new Map<string, IdentityTwin | typeof held>()
  for (const [text, twin] of rows.map(twinOfRow)) {
    if (ours.has(text)) twins.set(text, twin)
    // Where this waits for locks, one that has none was made since: it was unknown when the write began.
    else if (whereHeld === 'leaves out') twins.set(text, held)
  }
  return twins
}

function twinOfRow(row: IdentityRow & TwinRow): [string, IdentityTwin] {
  const identity = identityFromRow(row)
  return [identityText(identity), { identity, twin: twinFromRow(row) }]
}

function isWellFormed({ deviceId, moduleId }: IdentityId): boolean {
  return isIdentityId(deviceId) && (moduleId === undefined || isIdentityId(moduleId))
}

/** @returns the same twin where nothing is written @throws REGISTRY_ETAG_STALE, TWIN_INVALID */
function twinAfter(twin: Twin, { kind, patch, ifMatch }: TwinWrite, nowMs: number): Twin {
  if (ifMatch !== undefined && ifMatch !== etagText(twin.etag))
    throw new PenstockError('REGISTRY_ETAG_STALE', 'the twin was changed since it was read: read it again')
  if (patch.tags === undefined && patch.desired === undefined) return twin
  const after = kind === 'patch' ? patchedTwin(twin, patch, nowMs) : replacedTwin(twin, patch, nowMs)
  checkSize(JSON.stringify(after.tags), limits.twinTagsBytesMax, 'tags')
  checkSize(JSON.stringify(after.desired.value), limits.twinPropertiesBytesMax, 'properties.desired')
  return after
}

function patchedTwin(twin: Twin, { tags, desired }: TwinPatch, nowMs: number): Twin {
  const remembered = { countMax: limits.twinTombstonesMax, sinceMs: nowMs - limits.twinTombstoneMsMax }
  return changed(twin, {
    ...(tags === undefined ? {} : { tags: patched({ ...noSection, value: twin.tags }, tags, nowMs).value }),
    ...(desired === undefined ? {} : { desired: patched(twin.desired, desired, nowMs, remembered) }),
  })
}

/** Also what the sections had that a patch would leave: nulls in them stand for nothing. */
function replacedTwin(twin: Twin, { tags, desired }: TwinPatch, nowMs: number): Twin {
  return changed(twin, {
    ...(tags === undefined ? {} : { tags: replaced(noSection, tags, nowMs).value }),
    ...(desired === undefined ? {} : { desired: replaced(twin.desired, desired, nowMs) }),
  })
}

const noSection: Section = { value: emptyObject, marks: {}, version: 0, floor: 0 }

function changed(twin: Twin, sections: Partial<Pick<Twin, 'tags' | 'desired'>>): Twin {
  return { ...twin, ...sections, version: twin.version + 1, etag: twin.etag + 1 }
}

async function updateTwins(queries: Queries, written: readonly IdentityTwin[]): Promise<void> {
  if (written.length === 0) return
  const twins = written.map(({ twin }) => twin)
  await queries.query(
    `UPDATE penstock.twins t SET version = x.version, etag = x.etag, tags = x.tags::jsonb, desired = x.desired::jsonb,
       desired_marks = x.marks, desired_version = x.desired_version, desired_floor = x.floor
     FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::float8[], $9::float8[])
       AS x (d, m, version, etag, tags, desired, marks, desired_version, floor)
     WHERE t.device_id = x.d AND t.module_id = x.m`,
    [
      ...idColumns(written.map(({ identity }) => identity)),
      twins.map(({ version }) => version),
      twins.map(({ etag }) => etag),
      twins.map(({ tags }) => JSON.stringify(tags)),
      twins.map(({ desired }) => JSON.stringify(desired.value)),
      twins.map(({ desired }) => JSON.stringify(desired.marks)),
      twins.map(({ desired }) => desired.version),
      twins.map(({ desired }) => desired.floor),
    ],
  )
}
