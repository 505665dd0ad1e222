import type { Database, SqlRow } from '#control/store/database.ts'
import { isLockToken } from '#control/store/lock-token.ts'
import {
  forgetRecords,
  type RecordTable,
  recordsToTell,
  settleRecords,
  takeRecords,
} from '#control/store/locked-records.ts'
import { limits } from '#schemas/limits.ts'
import type {
  FileNotification,
  FileNotificationTaken,
  OnFileUploaded,
  UploadBegun,
  UploadEnded,
  UploadId,
  Uploads,
} from './uploads.ts'

const notifications: RecordTable = {
  name: 'penstock.file_notifications',
  columns: 'r.device_id, r.blob_name, r.bytes::float8 AS bytes, r.changed_at, r.at',
}

interface NotificationRow extends SqlRow {
  readonly device_id: string
  readonly blob_name: string
  readonly bytes: number
  readonly changed_at: Date
  readonly at: Date
}

/** Uploads over the control store, which belongs to the caller. */
export class SqlUploads implements Uploads {
  readonly #database: Database
  readonly #notificationLifeMs: number
  readonly #onUploaded: OnFileUploaded | undefined

  /** @param onUploaded told of each file once, by one process of those that have it; left out: nobody is */
  constructor(database: Database, notificationLifeMs: number, onUploaded?: OnFileUploaded) {
    this.#database = database
    this.#notificationLifeMs = notificationLifeMs
    this.#onUploaded = onUploaded
  }

  beginUpload({ deviceId, blobName, lifeMs }: UploadBegun): Promise<string | undefined> {
    return this.#database.transaction(async (queries) => {
      // One after the other, so that no two take the last place.
      await queries.query("SELECT FROM penstock.identities WHERE device_id = $1 AND module_id = '' FOR NO KEY UPDATE", [
        deviceId,
      ])
      const [row] = await queries.query<{ id: string }>(
        `INSERT INTO penstock.uploads (device_id, blob_name, expires_at)
         SELECT device_id, $2, now() + $3::float8 * interval '1 millisecond' FROM penstock.identities
         WHERE device_id = $1 AND module_id = '' AND $4::integer >
           (SELECT count(*) FROM penstock.uploads WHERE device_id = $1 AND expires_at > now())
         RETURNING id::text AS id`,
        [deviceId, blobName, lifeMs, limits.deviceUploadsMax],
      )
      return row?.id
    })
  }

  async uploadName({ deviceId, id }: UploadId): Promise<string | undefined> {
    if (!isLockToken(id)) return undefined
    const [row] = await this.#database.query<{ blob_name: string }>(
      'SELECT blob_name FROM penstock.uploads WHERE id = $1::uuid AND device_id = $2',
      [id, deviceId],
    )
    return row?.blob_name
  }

  async endUpload({ deviceId, id, stored }: UploadEnded): Promise<boolean> {
    if (!isLockToken(id)) return false
    const [row] = await this.#database.query<{ count: number }>(
      `WITH ended AS (
         DELETE FROM penstock.uploads WHERE id = $1::uuid AND device_id = $2 RETURNING device_id, blob_name
       ), noted AS (
         INSERT INTO penstock.file_notifications (device_id, blob_name, bytes, changed_at, at)
         SELECT device_id, blob_name, $3::bigint, to_timestamp($4::float8 / 1000), now() FROM ended WHERE $3::bigint IS NOT NULL
       )
       SELECT count(*)::integer AS count FROM ended`,
      [id, deviceId, stored?.bytes ?? null, stored?.changedAtMs ?? null],
    )
    return row?.count === 1
  }

  async takeFileNotification(): Promise<FileNotificationTaken | undefined> {
    const taken = await takeRecords<NotificationRow>(this.#database, notifications, 1, this.#notificationLifeMs)
    const [row] = taken?.rows ?? []
    return taken && row && { ...notificationFromRow(row), lockToken: taken.lockToken }
  }

  async settleFileNotification(lockToken: string, kind: 'complete' | 'abandon'): Promise<boolean> {
    const untold = await settleRecords<NotificationRow>(this.#database, notifications, lockToken, kind)
    if (untold !== undefined) this.#onUploaded?.(untold.map(notificationFromRow))
    return untold !== undefined
  }

  async sweep(): Promise<number> {
    const countMax = limits.commandsSweptAtOnceMax
    const told = await this.#tell(countMax)
    const forgotten = await forgetRecords(this.#database, notifications, {
      lifeMs: this.#notificationLifeMs,
      countMax,
      toldOnly: this.#onUploaded !== undefined,
    })
    const [row] = await this.#database.query<{ count: number }>(
      `WITH gone AS (
         DELETE FROM penstock.uploads WHERE id IN (SELECT id FROM penstock.uploads WHERE expires_at <= now() LIMIT $1::integer)
         RETURNING 1
       )
       SELECT count(*)::integer AS count FROM gone`,
      [countMax],
    )
    return Math.max(told, forgotten, row?.count ?? 0)
  }

  /** @returns how many */
  async #tell(countMax: number): Promise<number> {
    if (this.#onUploaded === undefined) return 0
    const rows = await recordsToTell<NotificationRow>(this.#database, notifications, countMax)
    if (rows.length > 0) this.#onUploaded(rows.map(notificationFromRow))
    return rows.length
  }
}

function notificationFromRow(row: NotificationRow): FileNotification {
  return {
    deviceId: row.device_id,
    blobName: row.blob_name,
    bytes: row.bytes,
    changedAtMs: row.changed_at.getTime(),
    atMs: row.at.getTime(),
  }
}
