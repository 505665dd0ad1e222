/**
 * What is written down before a device is made in another hub, or taken from one: that hub may have a device which no registration says it
 * has. Whoever finds an intent that its operation left behind takes the device away (`settle.ts`), or goes on with it (`linked-placement.ts`).
 *
 *   intent written ─▶ device made ─▶ intent gone, registration written       one transaction at the end
 *   registration written, intent for the hub before ─▶ device removed there ─▶ intent gone
 *
 * An intent belongs to the operation that wrote it last. Whoever takes it over writes its own name there, and then looks at the device. So of
 * two that come upon one device, the one whose name is gone leaves it, and writes no registration.
 */
import type { Queries, SqlRow } from '#control/store/database.ts'
import { idKey } from './enrolment.ts'

export interface Place {
  readonly registrationId: string
  readonly hub: string
  readonly deviceId: string
}

export interface PlacementIntent extends Place {
  readonly operationId: string
  /** By which the device there is told from one that others made: see `credentialsOf`. */
  readonly credentials: readonly string[]
  /** Of the device before it got another hub, which may be the same by another name: it is written anew there. Left out: not known. */
  readonly seenEtag?: string | undefined
}

/** As an operation names an intent that it has. */
type HeldPlace = Omit<PlacementIntent, 'credentials'>

interface IntentRow extends SqlRow {
  readonly id: string
  readonly hub: string
  readonly device_id: string
  readonly operation_id: string
  readonly credentials: string
  readonly seen_etag: string | null
}

const columns = 'id, hub, device_id, operation_id, credentials, seen_etag'
const ofPlace = 'id = $1 AND hub = $2 AND device_id = $3'

/** A new one, or in the place of the one there is. */
export function putIntent(queries: Queries, intent: PlacementIntent): Promise<void> {
  return insert(
    queries,
    intent,
    '(id, hub, device_id) DO UPDATE SET operation_id = $4, credentials = $5, seen_etag = $6, since = now()',
  )
}

/** Not where another operation has one by now. */
export function putIntentAgain(queries: Queries, intent: PlacementIntent): Promise<void> {
  return insert(queries, intent, 'DO NOTHING')
}

async function insert(queries: Queries, intent: PlacementIntent, onConflict: string): Promise<void> {
  await queries.query(
    `INSERT INTO penstock.placement_intents (${columns}, since) VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT ${onConflict}`,
    [...keyOf(intent), intent.operationId, JSON.stringify(intent.credentials), intent.seenEtag ?? null],
  )
}

/** Makes an intent that is there this operation's. @returns its credentials; `undefined`: there is none */
export async function takeIntentOver(
  queries: Queries,
  place: Place,
  operationId: string,
): Promise<readonly string[] | undefined> {
  const [row] = await queries.query<IntentRow>(
    `UPDATE penstock.placement_intents SET operation_id = $4, since = now() WHERE ${ofPlace} RETURNING ${columns}`,
    [...keyOf(place), operationId],
  )
  return row && intentFromRow(row).credentials
}

/** Whether it is this operation's. */
export async function isIntentHeld(queries: Queries, intent: HeldPlace): Promise<boolean> {
  const rows = await queries.query(`SELECT 1 FROM penstock.placement_intents WHERE ${ofPlace} AND operation_id = $4`, [
    ...keyOf(intent),
    intent.operationId,
  ])
  return rows.length > 0
}

/** @returns false if it is another operation's, or gone */
export async function deleteIntent(queries: Queries, intent: HeldPlace): Promise<boolean> {
  const deleted = await queries.query(
    `DELETE FROM penstock.placement_intents WHERE ${ofPlace} AND operation_id = $4 RETURNING 1 AS one`,
    [...keyOf(intent), intent.operationId],
  )
  return deleted.length > 0
}

/** Those of a hub that nobody has gone on with for so long, the oldest first. The age is the store's own. */
export async function intentsLeft(
  queries: Queries,
  hub: string,
  ageMs: number,
  countMax: number,
): Promise<PlacementIntent[]> {
  const rows = await queries.query<IntentRow>(
    `SELECT ${columns} FROM penstock.placement_intents
     WHERE hub = $1 AND since < now() - $2::float8 * interval '1 millisecond' ORDER BY since LIMIT $3`,
    [hub, ageMs, countMax],
  )
  return rows.map(intentFromRow)
}

/** Those of all hubs but these, as old: written while a hub was unlinked, or before. */
export async function deleteIntentsLeftElsewhere(
  queries: Queries,
  hubs: readonly string[],
  ageMs: number,
): Promise<void> {
  await queries.query(
    `DELETE FROM penstock.placement_intents
     WHERE hub <> ALL($1::text[]) AND since < now() - $2::float8 * interval '1 millisecond'`,
    [hubs, ageMs],
  )
}

/** Devices of a hub that is not linked any more stay there. */
export async function deleteIntentsOfHub(queries: Queries, hub: string): Promise<void> {
  await queries.query('DELETE FROM penstock.placement_intents WHERE hub = $1', [hub])
}

function keyOf({ registrationId, hub, deviceId }: Place): string[] {
  return [idKey(registrationId), hub, deviceId]
}

function intentFromRow({ id, hub, device_id, operation_id, credentials, seen_etag }: IntentRow): PlacementIntent {
  return {
    registrationId: id,
    hub,
    deviceId: device_id,
    operationId: operation_id,
    credentials: JSON.parse(credentials),
    seenEtag: seen_etag ?? undefined,
  }
}
