import { joinPresence } from '#control/identities/identity-rows.ts'
import type { Database, SqlRow, SqlValue } from '#control/store/database.ts'
import { flatTags } from './device-record.ts'
import type { DeviceKey, DeviceRecord, DeviceRecords } from './device-table.ts'

interface RecordRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly status: string
  readonly status_reason: string | null
  readonly status_updated_at: Date | null
  readonly authentication: string
  readonly iot_edge: boolean
  readonly device_scope: string | null
  readonly managed_by: string | null
  readonly generation_id: string
  readonly created_at: Date
  readonly connected: boolean | null
  readonly connection_updated_at: Date | null
  readonly last_activity_at: Date | null
  readonly model_id: string | null
  readonly tags: string | null
  readonly desired_version: number | null
  readonly reported_version: number | null
}

/** The twin is looked up by its ids, as the presence is: see `joinPresence`. */
const select = `SELECT i.device_id, i.module_id, i.status, i.status_reason, i.status_updated_at, i.authentication, i.iot_edge,
    i.device_scope, i.managed_by, i.generation_id, i.created_at, p.connected, p.connection_updated_at, p.last_activity_at, p.model_id,
    t.tags, t.desired_version, t.reported_version
  FROM penstock.identities i ${joinPresence} LEFT JOIN LATERAL (
    SELECT tags::text AS tags, desired_version::float8 AS desired_version, reported_version::float8 AS reported_version
    FROM penstock.twins WHERE device_id = i.device_id AND module_id = i.module_id LIMIT 1
  ) t ON true`

/** Records of the control store, read page by page. */
export class SqlDeviceRecords implements DeviceRecords {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  page({ deviceId, moduleId }: DeviceKey, countMax: number): Promise<readonly DeviceRecord[]> {
    return this.#read(
      `WHERE (i.device_id, i.module_id) > ($1::text COLLATE "C", $2::text COLLATE "C") ORDER BY i.device_id, i.module_id LIMIT $3::integer`,
      [deviceId, moduleId, countMax],
    )
  }

  of(deviceIds: readonly string[]): Promise<readonly DeviceRecord[]> {
    return this.#read('WHERE i.device_id = ANY($1::text[]) ORDER BY i.device_id, i.module_id', [deviceIds])
  }

  async #read(where: string, parameters: readonly SqlValue[]): Promise<readonly DeviceRecord[]> {
    const rows = await this.#database.query<RecordRow>(`${select} ${where}`, parameters)
    return rows.map(recordFromRow)
  }
}

function recordFromRow(row: RecordRow): DeviceRecord {
  const tags = row.tags ?? '{}'
  return {
    device_id: row.device_id,
    module_id: row.module_id,
    status: row.status,
    status_reason: row.status_reason ?? '',
    status_updated_at: row.status_updated_at?.getTime() ?? null,
    authentication: row.authentication,
    iot_edge: row.iot_edge,
    device_scope: row.device_scope ?? '',
    managed_by: row.managed_by ?? '',
    generation_id: row.generation_id,
    created_at: row.created_at.getTime(),
    model: row.model_id ?? '',
    connected: row.connected ?? false,
    connection_updated_at: row.connection_updated_at?.getTime() ?? null,
    last_seen: row.last_activity_at?.getTime() ?? null,
    tags: tags === '{}' ? {} : flatTags(JSON.parse(tags)),
    tags_json: tags,
    desired_version: row.desired_version ?? 1,
    reported_version: row.reported_version ?? 1,
  }
}
