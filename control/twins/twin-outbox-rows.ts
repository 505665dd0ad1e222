/**
 * The outbox of twin changes: rows that are written together with the change, and deleted once it is on the log.
 *
 *   reported    a row for what one statement changed of a twin: the patches as they came, a line each, and the versions of the last
 *   updateTwin  a patch of a service; `document` is what is told
 *   replaceTwin sections that a service replaced; the same
 */
import { randomUUID } from 'node:crypto'
import type { Database, Queries, SqlRow } from '#control/store/database.ts'
import { limits } from '#schemas/limits.ts'
import type { TwinChange } from '#schemas/twin-event.ts'
import { reportedEvents, toldTwin, toldUpdate } from './twin-event-text.ts'
import { idColumns } from './twin-rows.ts'
import type { TwinWrite } from './twin-writes.ts'
import type { IdentityTwin, TwinEventPortion, TwinOutbox } from './twins.ts'

/** In the transaction of the writes, which were carried out in this order. */
export async function tellWritten(
  queries: Queries,
  written: readonly (TwinWrite & { readonly after: IdentityTwin })[],
  atMs: number,
): Promise<void> {
  const told = written.filter(({ patch }) => patch.tags !== undefined || patch.desired !== undefined)
  if (told.length === 0) return
  await queries.query(
    `INSERT INTO penstock.twin_events (device_id, module_id, kind, version, section_version, document, at_ms)
     SELECT d, m, kind, version, section_version, document, $7
     FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::float8[], $6::text[])
       WITH ORDINALITY AS x (d, m, kind, version, section_version, document, place) ORDER BY place`,
    [
      ...idColumns(told.map(({ id }) => id)),
      told.map(({ kind }) => (kind === 'patch' ? 'updateTwin' : 'replaceTwin')),
      told.map(({ after }) => after.twin.version),
      told.map(({ after }) => after.twin.desired.version),
      told.map(({ kind, patch, after }) => (kind === 'patch' ? toldUpdate(after.twin, patch, atMs) : toldTwin(after))),
      atMs,
    ],
  )
}

interface OutboxRow extends SqlRow {
  readonly seq: string
  readonly device_id: string
  readonly module_id: string
  readonly kind: string
  readonly version: number
  readonly section_version: number
  readonly document: string
  readonly at_ms: number
}

export class SqlTwinOutbox implements TwinOutbox {
  readonly #database: Database
  readonly #holder = randomUUID()

  constructor(database: Database) {
    this.#database = database
  }

  async next(): Promise<TwinEventPortion> {
    if (!(await this.#holds())) return { events: [], rows: [] }
    const rows = await this.#database.query<OutboxRow>(
      `SELECT seq::text, device_id, module_id, kind, version::float8, section_version::float8, document, at_ms::float8
       FROM (
         SELECT *, sum(octet_length(document)) OVER (ORDER BY seq) - octet_length(document) AS bytes_before
         FROM (SELECT * FROM penstock.twin_events ORDER BY seq LIMIT $1) AS oldest
       ) AS measured
       WHERE bytes_before < $2 ORDER BY measured.seq`,
      [limits.twinEventsAtOnceMax, limits.twinEventsAtOnceBytesMax],
    )
    return { events: rows.flatMap(eventsOf), rows: rows.map(({ seq }) => seq) }
  }

  async hold(): Promise<void> {
    await this.#holds()
  }

  async forget({ rows }: TwinEventPortion): Promise<void> {
    // Not all up to the last one: a row with a smaller number may have been committed after they were read.
    await this.#database.query('DELETE FROM penstock.twin_events WHERE seq = ANY($1::text[]::bigint[])', [rows])
  }

  async measure(): Promise<{ waiting: number; oldestAtMs: number | undefined }> {
    const [row] = await this.#database.query<{ readonly waiting: number; readonly oldest: number | null }>(
      `SELECT coalesce(max(seq) - min(seq) + 1, 0)::float8 AS waiting,
         (SELECT at_ms::float8 FROM penstock.twin_events ORDER BY seq LIMIT 1) AS oldest
       FROM penstock.twin_events`,
    )
    return { waiting: row?.waiting ?? 0, oldestAtMs: row?.oldest ?? undefined }
  }

  async drop(keptMax: number): Promise<number> {
    const [row] = await this.#database.query<{ readonly dropped: number }>(
      `WITH dropped AS (
         DELETE FROM penstock.twin_events WHERE seq <= (SELECT max(seq) FROM penstock.twin_events) - $1 RETURNING 1
       ) SELECT count(*)::float8 AS dropped FROM dropped`,
      [keptMax],
    )
    return row?.dropped ?? 0
  }

  /** Writes only where something waits, and the right would end soon. */
  async #holds(): Promise<boolean> {
    const heldSeconds = limits.twinEventsHeldMs / 1_000
    const [row] = await this.#database.query<{ readonly holds: boolean }>(
      `WITH renewed AS (
         UPDATE penstock.twin_event_forwarder SET holder = $1, held_until = now() + make_interval(secs => $2::float8)
         WHERE EXISTS (SELECT FROM penstock.twin_events)
           AND (held_until < now() OR (holder = $1 AND held_until < now() + make_interval(secs => $2::float8 / 2)))
         RETURNING 1
       ) SELECT EXISTS (SELECT FROM renewed)
         OR EXISTS (SELECT FROM penstock.twin_event_forwarder WHERE holder = $1 AND held_until > now()) AS holds`,
      [this.#holder, heldSeconds],
    )
    return row?.holds ?? false
  }
}

function eventsOf(row: OutboxRow): TwinChange[] {
  const { seq, device_id, module_id, kind, document, at_ms: atMs } = row
  const id = { deviceId: device_id, moduleId: module_id === '' ? undefined : module_id }
  if (kind !== 'reported')
    return [{ ...id, id: seq, opType: kind === 'replaceTwin' ? 'replaceTwin' : 'updateTwin', atMs, body: document }]
  return reportedEvents(document, row.version, row.section_version, atMs).map((body, index) => ({
    ...id,
    id: `${seq}.${index}`,
    opType: 'updateTwin',
    atMs,
    body,
  }))
}
