import type { Database } from '#control/store/database.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { KeptReplay, ReplayDocument, ReplayOutcome } from '#schemas/routing/replay.ts'
import { emptyRouting, type RoutingDocument } from '#schemas/routing/routing.ts'
import { reportFrom, revisionFrom } from './file-routing-store.ts'
import { type RouterReport, type RoutingRevision, type RoutingStore, replayKeptMs, reportMsMax } from './routes.ts'

const channel = 'penstock_routing'

/** Tables `penstock.routing` (one row), `penstock.routers` and `penstock.replays`. It owns its connection to the store. */
export class SqlRoutingStore implements RoutingStore {
  readonly #database: Database
  readonly #listeners = new Set<() => void>()
  #stopListening: (() => Promise<void>) | undefined

  private constructor(database: Database) {
    this.#database = database
  }

  /** @param database with its tables up to date @throws STORE_UNAVAILABLE */
  static async open(database: Database): Promise<SqlRoutingStore> {
    const store = new SqlRoutingStore(database)
    const tell = (): void => {
      for (const listener of store.#listeners) listener()
    }
    store.#stopListening = await database.listen([channel], tell, tell)
    return store
  }

  async read(): Promise<RoutingRevision> {
    const [row] = await this.#database.query<{ document: string }>('SELECT document FROM penstock.routing')
    if (row === undefined) return { revision: 0, changedAtMs: 0, document: emptyRouting }
    return revisionFrom(row.document, 'penstock.routing')
  }

  async write(document: RoutingDocument, ifRevision: number | undefined): Promise<RoutingRevision> {
    return await this.#database.transaction(async (queries) => {
      // There may be no row to lock yet.
      await queries.query('LOCK TABLE penstock.routing IN SHARE ROW EXCLUSIVE MODE')
      const [row] = await queries.query<{ revision: number; now: Date }>(
        'SELECT coalesce(max(revision), 0)::int AS revision, now() AS now FROM penstock.routing',
      )
      const { revision = 0, now = new Date(0) } = row ?? {}
      if (ifRevision !== undefined && ifRevision !== revision)
        throw new PenstockError('ROUTING_ETAG_STALE', `the routes are at revision ${revision}, not ${ifRevision}`)
      const next = { revision: revision + 1, changedAtMs: now.getTime(), document }
      await queries.query('DELETE FROM penstock.routing')
      await queries.query('INSERT INTO penstock.routing (revision, document) VALUES ($1, $2)', [
        next.revision,
        JSON.stringify(next),
      ])
      await queries.query('SELECT pg_notify($1, $2)', [channel, String(next.revision)])
      return next
    })
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async report(report: RouterReport): Promise<void> {
    await this.#database.query(
      `INSERT INTO penstock.routers (router, heard_at, report) VALUES ($1, now(), $2)
       ON CONFLICT (router) DO UPDATE SET heard_at = now(), report = excluded.report`,
      [report.router, JSON.stringify(report)],
    )
  }

  async reports(): Promise<RouterReport[]> {
    await this.#database.query(
      `DELETE FROM penstock.routers WHERE heard_at < now() - $1::int * interval '1 millisecond'`,
      [reportMsMax],
    )
    const rows = await this.#database.query<{ report: string }>('SELECT report FROM penstock.routers ORDER BY router')
    return rows.map(({ report }) => reportFrom(report)).filter((report) => report !== undefined)
  }

  async addReplay(replay: ReplayDocument): Promise<void> {
    await this.#database.query(
      `DELETE FROM penstock.replays WHERE ended_at < now() - $1::bigint * interval '1 millisecond'`,
      [replayKeptMs],
    )
    await this.#database.query('INSERT INTO penstock.replays (id, replay) VALUES ($1, $2)', [
      replay.id,
      JSON.stringify(replay),
    ])
  }

  async replays(): Promise<KeptReplay[]> {
    const rows = await this.#database.query<{ replay: string; outcome: ReplayOutcome | null; ended_at: Date | null }>(
      'SELECT replay, outcome, ended_at FROM penstock.replays ORDER BY begun_at',
    )
    return rows.map(({ replay, outcome, ended_at }) => ({
      replay: JSON.parse(replay) as ReplayDocument,
      ended: outcome !== null && ended_at !== null ? { as: outcome, atMs: ended_at.getTime() } : undefined,
    }))
  }

  async endReplay(id: string, as: ReplayOutcome): Promise<boolean> {
    const rows = await this.#database.query(
      'UPDATE penstock.replays SET outcome = $2, ended_at = now() WHERE id = $1 AND outcome IS NULL RETURNING id',
      [id, as],
    )
    return rows.length > 0
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#stopListening?.()
    await this.#database.close()
  }
}
