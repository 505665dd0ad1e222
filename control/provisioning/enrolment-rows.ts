/** Enrolments as rows of the control store. */
import type { IfMatch } from '#control/identities/identities.ts'
import { newEtag } from '#control/identities/identity.ts'
import type { Queries, SqlRow } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type Enrolment, type EnrolmentContent, type EnrolmentKind, idKey } from './enrolment.ts'
import { enrolmentFrom, storedText } from './enrolment-document.ts'

export interface EnrolmentRow extends SqlRow {
  readonly kind: EnrolmentKind
  readonly id: string
  readonly etag: string
  readonly document: string
  readonly created_at: Date
  readonly updated_at: Date
}

const columns = 'kind, id, etag, document, created_at, updated_at'

export function enrolmentFromRow({ kind, etag, document, created_at, updated_at }: EnrolmentRow): Enrolment {
  const content = enrolmentFrom(kind, JSON.parse(document), undefined, undefined, true)
  return { ...content, etag, createdAtMs: created_at.getTime(), updatedAtMs: updated_at.getTime() }
}

export async function enrolmentRow(
  queries: Queries,
  kind: EnrolmentKind,
  id: string,
  lock: '' | 'FOR UPDATE' = '',
): Promise<Enrolment | undefined> {
  const [row] = await queries.query<EnrolmentRow>(
    `SELECT ${columns} FROM penstock.enrolments WHERE kind = $1 AND id = $2 ${lock}`,
    [kind, idKey(id)],
  )
  return row && enrolmentFromRow(row)
}

/** Of individuals those of these ids, of groups all. Cost: the groups once whenever one changed. */
export async function enrolmentRows(
  queries: Queries,
  kind: EnrolmentKind,
  ids: readonly string[],
): Promise<Enrolment[]> {
  const rows = await queries.query<EnrolmentRow>(
    `SELECT ${columns} FROM penstock.enrolments WHERE kind = $1 AND (kind = 'group' OR id = ANY($2::text[])) ORDER BY id`,
    [kind, ids.map(idKey)],
  )
  return rows.map(enrolmentFromRow)
}

/**
 * Which of these enrolments still let devices in: `inForceKey` of each. None of them is deleted or changed until the transaction ends.
 */
export async function enrolmentsInForce(
  queries: Queries,
  enrolments: readonly Enrolment[],
): Promise<ReadonlySet<string>> {
  const named = new Map(enrolments.map((each) => [inForceKey(each), each]))
  const kinds = [...named.values()].map(({ kind }) => kind)
  const ids = [...named.values()].map(({ id }) => idKey(id))
  const rows = await queries.query<EnrolmentRow>(
    `SELECT ${columns} FROM penstock.enrolments
     WHERE (kind, id) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY kind, id FOR KEY SHARE`,
    [kinds, ids],
  )
  return new Set(
    rows
      .map(enrolmentFromRow)
      .filter(({ isEnabled }) => isEnabled)
      .map(inForceKey),
  )
}

export function inForceKey({ kind, id }: Pick<Enrolment, 'kind' | 'id'>): string {
  return `${kind}/${idKey(id)}`
}

export async function enrolmentRowsAfter(
  queries: Queries,
  kind: EnrolmentKind,
  after: string,
  countMax: number,
): Promise<Enrolment[]> {
  const rows = await queries.query<EnrolmentRow>(
    `SELECT ${columns} FROM penstock.enrolments WHERE kind = $1 AND id > $2 ORDER BY id LIMIT $3`,
    [kind, idKey(after), countMax],
  )
  return rows.map(enrolmentFromRow)
}

/** The row is locked by the caller, if there is one. */
export async function putEnrolmentRow(
  queries: Queries,
  content: EnrolmentContent,
  before: Enrolment | undefined,
  nowMs: number,
): Promise<Enrolment> {
  if (before === undefined && content.kind === 'group') await requireGroupRoom(queries)
  const enrolment = { ...content, etag: newEtag(), createdAtMs: before?.createdAtMs ?? nowMs, updatedAtMs: nowMs }
  await queries.query(
    `INSERT INTO penstock.enrolments (${columns}) VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (kind, id) DO UPDATE SET etag = $3, document = $4, updated_at = $6`,
    [
      content.kind,
      idKey(content.id),
      enrolment.etag,
      storedText(content),
      new Date(enrolment.createdAtMs),
      new Date(nowMs),
    ],
  )
  if (content.kind === 'group') await countStandingChange(queries)
  return enrolment
}

export async function deleteEnrolmentRow(queries: Queries, kind: EnrolmentKind, id: string): Promise<void> {
  await queries.query('DELETE FROM penstock.enrolments WHERE kind = $1 AND id = $2', [kind, idKey(id)])
  if (kind === 'group') await countStandingChange(queries)
}

export function checkEtag({ etag }: { readonly etag: string }, ifMatch: IfMatch): void {
  if (ifMatch !== undefined && ifMatch !== etag)
    throw new PenstockError('REGISTRY_ETAG_STALE', 'it was changed since it was read: read it again')
}

/** Who registers is compared with every group. */
async function requireGroupRoom(queries: Queries): Promise<void> {
  const groups = await queries.query(`SELECT 1 FROM penstock.enrolments WHERE kind = 'group'`)
  if (groups.length < limits.enrolmentGroupsMax) return
  throw new PenstockError('PROVISIONING_GROUPS_FULL', `at most ${limits.enrolmentGroupsMax} enrolment groups are kept`)
}

/** Processes keep groups and hubs in memory, and read them again before the next registration after this. */
export async function countStandingChange(queries: Queries): Promise<void> {
  await queries.query('UPDATE penstock.provisioning SET revision = revision + 1')
}
