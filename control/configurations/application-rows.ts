/** Which devices configurations are meant for, and which they were applied to, as rows of the control store. */
import type { Queries, SqlRow } from '#control/store/database.ts'
import type { TwinOutcomes } from '#control/twins/twins.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { type DeviceChange, Overtaken, type PassConfiguration, type TargetPage } from './configurations.ts'

export async function passConfigurations(queries: Queries): Promise<PassConfiguration[]> {
  const rows = await queries.query<{ number: number; condition: string; metrics: string; is_deleted: boolean }>(
    'SELECT number, condition, metrics, is_deleted FROM penstock.configurations ORDER BY number',
  )
  return rows.map(({ number, condition, metrics, is_deleted }) => ({
    number,
    condition,
    metrics: JSON.parse(metrics) as PassConfiguration['metrics'],
    isDeleted: is_deleted,
  }))
}

export async function setTargets(queries: Queries, number: number, page: TargetPage): Promise<void> {
  const { after, upTo, deviceIds } = page
  await queries.query(
    `DELETE FROM penstock.configuration_targets
     WHERE number = $1 AND device_id > $2 AND ($3::text IS NULL OR device_id <= $3) AND NOT device_id = ANY($4::text[])`,
    [number, after, upTo ?? null, deviceIds],
  )
  await queries.query(
    `INSERT INTO penstock.configuration_targets (device_id, number)
     SELECT device_id, $1 FROM penstock.identities WHERE module_id = '' AND device_id = ANY($2::text[])
     ORDER BY device_id FOR KEY SHARE ON CONFLICT DO NOTHING`,
    [number, deviceIds],
  )
}

interface ChangeRow extends SqlRow {
  readonly device_id: string
  readonly number: number | null
  readonly is_refused: boolean | null
  readonly from_desired: string | null
  readonly to_number: number | null
  readonly to_desired: string | null
}

export async function unsettledDevices(queries: Queries, after: string, countMax: number): Promise<DeviceChange[]> {
  const rows = await queries.query<ChangeRow>(
    `WITH wanted AS (
       SELECT DISTINCT ON (t.device_id) t.device_id, t.number
       FROM penstock.configuration_targets t JOIN penstock.configurations c ON c.number = t.number AND NOT c.is_deleted
       WHERE t.device_id > $1 ORDER BY t.device_id, c.priority DESC, c.created_at DESC, c.number DESC
     ), applied AS (
       SELECT device_id, number, is_refused FROM penstock.configuration_devices WHERE device_id > $1
     )
     SELECT coalesce(w.device_id, a.device_id) AS device_id, a.number, a.is_refused, w.number AS to_number, after.desired AS to_desired,
       CASE WHEN NOT a.is_refused THEN before.desired END AS from_desired
     FROM wanted w FULL JOIN applied a ON a.device_id = w.device_id
       LEFT JOIN penstock.configurations before ON before.number = a.number
       LEFT JOIN penstock.configurations after ON after.number = w.number
     WHERE w.number IS DISTINCT FROM a.number OR a.is_refused ORDER BY 1 LIMIT $2`,
    [after, countMax],
  )
  return rows.map(({ device_id, number, is_refused, from_desired, to_number, to_desired }) => ({
    deviceId: device_id,
    before: number === null || is_refused === null ? undefined : { number, isRefused: is_refused },
    from: from_desired === null ? undefined : JSON.parse(from_desired),
    to: to_number === null || to_desired === null ? undefined : { number: to_number, desired: JSON.parse(to_desired) },
  }))
}

/**
 * Rows of a device that is gone went with it. A twin that does not take a change keeps what it has, and so does its row.
 * @throws Overtaken
 */
export async function settleChanges(
  queries: Queries,
  changes: readonly DeviceChange[],
  outcomes: TwinOutcomes,
): Promise<void> {
  await checkUnchanged(
    queries,
    changes.filter((_, index) => !isPenstockError(outcomes[index], 'REGISTRY_DEVICE_UNKNOWN')),
  )
  const settled = changes
    .map((change, index) => ({ ...change, fault: outcomes[index] }))
    .filter(({ from, fault }) => fault === undefined || from === undefined)
  const freed = settled.filter(({ to }) => to === undefined).map(({ deviceId }) => deviceId)
  if (freed.length > 0)
    await queries.query('DELETE FROM penstock.configuration_devices WHERE device_id = ANY($1::text[])', [freed])
  const there = settled.flatMap(({ deviceId, to, fault }) => {
    if (to === undefined || isPenstockError(fault, 'REGISTRY_DEVICE_UNKNOWN')) return []
    return [{ deviceId, number: to.number, isRefused: fault !== undefined }]
  })
  await queries.query(
    `INSERT INTO penstock.configuration_devices (device_id, number, is_refused)
     SELECT * FROM unnest($1::text[], $2::integer[], $3::boolean[])
     ON CONFLICT (device_id) DO UPDATE SET number = excluded.number, is_refused = excluded.is_refused`,
    [there.map(({ deviceId }) => deviceId), there.map(({ number }) => number), there.map(({ isRefused }) => isRefused)],
  )
}

/** Their twins are locked by now, as they are wherever these rows change. */
async function checkUnchanged(queries: Queries, changes: readonly DeviceChange[]): Promise<void> {
  const rows = await queries.query<{ device_id: string; number: number; is_refused: boolean }>(
    'SELECT device_id, number, is_refused FROM penstock.configuration_devices WHERE device_id = ANY($1::text[])',
    [changes.map(({ deviceId }) => deviceId)],
  )
  const current = new Map(rows.map((row) => [row.device_id, row]))
  for (const { deviceId, before } of changes) {
    const row = current.get(deviceId)
    if (row?.number !== before?.number || row?.is_refused !== before?.isRefused) throw new Overtaken(deviceId)
  }
}

export async function endPass(
  queries: Queries,
  number: number,
  metrics: Readonly<Record<string, number>>,
): Promise<void> {
  await queries.query(
    `UPDATE penstock.configurations SET results = jsonb_build_object(
       'targeted', (SELECT count(*) FROM penstock.configuration_targets WHERE number = $1),
       'applied', (SELECT count(*) FROM penstock.configuration_devices WHERE number = $1 AND NOT is_refused),
       'metrics', $2::text::jsonb)::text
     WHERE number = $1 AND NOT is_deleted`,
    [number, JSON.stringify(metrics)],
  )
  await queries.query(
    `DELETE FROM penstock.configurations c WHERE number = $1 AND is_deleted
       AND NOT EXISTS (SELECT FROM penstock.configuration_devices d WHERE d.number = c.number)`,
    [number],
  )
}
