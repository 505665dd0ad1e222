/** Registrations as rows of the control store. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import { idKey } from './enrolment.ts'
import { proofFrom, type Registration, type RegistrationStatus, type Substatus } from './registration.ts'

interface RegistrationRow extends SqlRow {
  readonly registration_id: string
  readonly group_id: string | null
  readonly device_id: string
  readonly hub: string | null
  readonly status: RegistrationStatus
  readonly substatus: Substatus
  readonly fault_code: number | null
  readonly fault_message: string | null
  readonly operation_id: string
  readonly proof: string
  readonly payload: string | null
  readonly credentials: string | null
  readonly etag: string
  readonly created_at: Date
  readonly updated_at: Date
}

const columns = `registration_id, group_id, device_id, hub, status, substatus, fault_code, fault_message, operation_id, proof, payload,
  credentials, etag, created_at, updated_at`

export async function registrationRows(queries: Queries, ids: readonly string[]): Promise<Registration[]> {
  const rows = await queries.query<RegistrationRow>(
    `SELECT ${columns} FROM penstock.registrations WHERE id = ANY($1::text[])`,
    [ids.map(idKey)],
  )
  return rows.map(registrationFromRow)
}

/** Held against other writers until the transaction ends. */
export async function lockedRegistrationRow(
  queries: Queries,
  registrationId: string,
): Promise<Registration | undefined> {
  const [row] = await queries.query<RegistrationRow>(
    `SELECT ${columns} FROM penstock.registrations WHERE id = $1 FOR UPDATE`,
    [idKey(registrationId)],
  )
  return row && registrationFromRow(row)
}

export async function registrationRowsOfGroup(
  queries: Queries,
  groupId: string,
  after: string,
  countMax: number,
): Promise<Registration[]> {
  const rows = await queries.query<RegistrationRow>(
    `SELECT ${columns} FROM penstock.registrations WHERE group_id = $1 AND id > $2 ORDER BY id LIMIT $3`,
    [idKey(groupId), idKey(after), countMax],
  )
  return rows.map(registrationFromRow)
}

/** In place of those there were; in one statement, in order of ids. */
export async function putRegistrationRows(queries: Queries, registrations: readonly Registration[]): Promise<void> {
  const records = registrations.map((registration) => ({
    id: idKey(registration.registrationId),
    registration_id: registration.registrationId,
    group_id: registration.groupId === undefined ? null : idKey(registration.groupId),
    device_id: registration.deviceId,
    hub: registration.hub,
    status: registration.status,
    substatus: registration.substatus,
    fault_code: registration.fault?.code,
    fault_message: registration.fault?.message,
    operation_id: registration.operationId,
    proof: JSON.stringify(registration.proof),
    payload: registration.payload,
    credentials: registration.credentials,
    etag: registration.etag,
    created_at: new Date(registration.createdAtMs).toISOString(),
    updated_at: new Date(registration.updatedAtMs).toISOString(),
  }))
  await queries.query(
    `INSERT INTO penstock.registrations (id, ${columns})
     SELECT id, ${columns} FROM jsonb_to_recordset($1::text::jsonb) AS r (id text, registration_id text, group_id text, device_id text,
       hub text, status text, substatus text, fault_code integer, fault_message text, operation_id text, proof text, payload text,
       credentials text, etag text, created_at timestamptz, updated_at timestamptz)
     ORDER BY id COLLATE "C"
     ON CONFLICT (id) DO UPDATE SET group_id = excluded.group_id, device_id = excluded.device_id, hub = excluded.hub,
       status = excluded.status, substatus = excluded.substatus, fault_code = excluded.fault_code,
       fault_message = excluded.fault_message, operation_id = excluded.operation_id, proof = excluded.proof,
       payload = excluded.payload, credentials = excluded.credentials, etag = excluded.etag, updated_at = excluded.updated_at`,
    [JSON.stringify(records)],
  )
}

export async function deleteRegistrationRow(queries: Queries, registrationId: string): Promise<void> {
  await queries.query('DELETE FROM penstock.registrations WHERE id = $1', [idKey(registrationId)])
}

function registrationFromRow(row: RegistrationRow): Registration {
  return {
    registrationId: row.registration_id,
    groupId: row.group_id ?? undefined,
    deviceId: row.device_id,
    hub: row.hub ?? undefined,
    status: row.status,
    substatus: row.substatus,
    fault: row.fault_code === null ? undefined : { code: row.fault_code, message: row.fault_message ?? '' },
    operationId: row.operation_id,
    proof: proofFrom(row.proof),
    payload: row.payload ?? undefined,
    credentials: row.credentials ?? undefined,
    etag: row.etag,
    createdAtMs: row.created_at.getTime(),
    updatedAtMs: row.updated_at.getTime(),
  }
}
