/** What services change of twins, inside a caller's transaction. A refusal is thrown before anything is written. */
import type { IfMatch } from '#control/identities/identities.ts'
import { unknownFault } from '#control/identities/identity.ts'
import { type IdentityRow, identityFromRow, selectIdentitiesWith } from '#control/identities/identity-rows.ts'
import type { Queries } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { checkSize } from './patch-json.ts'
import { emptyObject, patched, replaced, type Section } from './section.ts'
import { etagText } from './twin-document.ts'
import { joinTwins, type TwinRow, twinColumns, twinFromRow } from './twin-rows.ts'
import type { IdentityTwin, Twin, TwinPatch } from './twins.ts'

export type WriteKind = 'patch' | 'replace'

const selectTwin = `${selectIdentitiesWith(`, ${twinColumns}`, joinTwins)} WHERE i.device_id = $1 AND i.module_id = $2`

export async function readTwin(queries: Queries, id: IdentityId): Promise<IdentityTwin> {
  checkIdentityId(id)
  const [row] = await queries.query<IdentityRow & TwinRow>(selectTwin, [id.deviceId, id.moduleId ?? ''])
  if (!row) throw unknownFault(id)
  return { identity: identityFromRow(row), twin: twinFromRow(row) }
}

/** @throws REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN, REGISTRY_ETAG_STALE, TWIN_INVALID */
export async function writeTwin(
  queries: Queries,
  id: IdentityId,
  kind: WriteKind,
  patch: TwinPatch,
  ifMatch: IfMatch,
  nowMs: number,
): Promise<IdentityTwin> {
  const { identity, twin } = await lockedTwin(queries, id)
  if (ifMatch !== undefined && ifMatch !== etagText(twin.etag))
    throw new PenstockError('REGISTRY_ETAG_STALE', 'the twin was changed since it was read: read it again')
  if (patch.tags === undefined && patch.desired === undefined) return { identity, twin }
  const after = kind === 'patch' ? patchedTwin(twin, patch, nowMs) : replacedTwin(twin, patch, nowMs)
  await updateTwin(queries, id, after)
  return { identity, twin: after }
}

/** The twin, held against other writers until the transaction ends; its row is made if there is none. */
async function lockedTwin(queries: Queries, id: IdentityId): Promise<IdentityTwin> {
  checkIdentityId(id)
  const key = [id.deviceId, id.moduleId ?? '']
  await queries.query(
    `INSERT INTO penstock.twins (device_id, module_id)
     SELECT device_id, module_id FROM penstock.identities WHERE device_id = $1 AND module_id = $2 FOR KEY SHARE ON CONFLICT DO NOTHING`,
    key,
  )
  await queries.query('SELECT 1 FROM penstock.twins WHERE device_id = $1 AND module_id = $2 FOR UPDATE', key)
  return readTwin(queries, id)
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

async function updateTwin(queries: Queries, id: IdentityId, { version, etag, tags, desired }: Twin): Promise<void> {
  const tagsText = JSON.stringify(tags)
  const desiredText = JSON.stringify(desired.value)
  checkSize(tagsText, limits.twinTagsBytesMax, 'tags')
  checkSize(desiredText, limits.twinPropertiesBytesMax, 'properties.desired')
  await queries.query(
    `UPDATE penstock.twins SET version = $3, etag = $4, tags = $5::text::jsonb, desired = $6::text::jsonb, desired_marks = $7,
       desired_version = $8, desired_floor = $9
     WHERE device_id = $1 AND module_id = $2`,
    [
      id.deviceId,
      id.moduleId ?? '',
      version,
      etag,
      tagsText,
      desiredText,
      JSON.stringify(desired.marks),
      desired.version,
      desired.floor,
    ],
  )
}
