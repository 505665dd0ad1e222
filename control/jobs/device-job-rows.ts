/** What jobs make of single devices, as rows of the control store: `d`, and their job `j`. */
import type { SqlRow } from '#control/store/database.ts'

export interface DeviceJobRow extends SqlRow {
  readonly job_id: string
  readonly device_id: string
  readonly type: string
  readonly device_status: string
  readonly created_at: Date
  readonly started_at: Date | null
  readonly updated_at: Date
  readonly device_ended_at: Date | null
  readonly method_status: number | null
  readonly method_payload: string | null
  readonly error_code: string | null
  readonly error_text: string | null
}

/** What is pending when its job ends is never done. */
export const deviceStatusSql = `CASE WHEN d.status = 'pending' AND j.ended_at IS NOT NULL THEN 'canceled' ELSE d.status END`

export const selectDeviceJobs = `SELECT d.*, j.type, ${deviceStatusSql} AS device_status, d.ended_at AS device_ended_at
  FROM penstock.job_devices d JOIN penstock.jobs j ON j.id = d.job_id`

/** As the hub's clients read it. */
export function deviceJobDocument(row: DeviceJobRow): Readonly<Record<string, unknown>> {
  return {
    deviceId: row.device_id,
    jobId: row.job_id,
    jobType: row.type,
    status: row.device_status,
    createdDateTimeUtc: row.created_at.toISOString(),
    lastUpdatedDateTimeUtc: row.updated_at.toISOString(),
    ...(row.started_at === null ? {} : { startTimeUtc: row.started_at.toISOString() }),
    ...(row.device_ended_at === null ? {} : { endTimeUtc: row.device_ended_at.toISOString() }),
    ...(row.method_status === null ? {} : { outcome: { deviceMethodResponse: methodResponse(row) } }),
    ...(row.error_code === null ? {} : { error: { code: row.error_code, description: row.error_text ?? '' } }),
  }
}

function methodResponse({ method_status: status, method_payload: payload }: DeviceJobRow): unknown {
  return payload === null ? { status } : { status, payload: JSON.parse(payload) as unknown }
}
