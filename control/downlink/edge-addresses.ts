import { randomBytes } from 'node:crypto'
import { type OwnChannel, tellAll } from '#control/store/change-feed.ts'
import type { Database } from '#control/store/database.ts'
import type { Logger } from '#runtime/logger.ts'

/** Where an edge process listens for control. */
export interface EdgeAddress {
  readonly edgeId: string
  readonly host: string
  readonly port: number
}

/** The port of where edges are, for processes of several machines. Faults of all calls: STORE_UNAVAILABLE (retry). */
export interface EdgeAddresses {
  /** What all processes of this installation share, and nobody else knows: 32 bytes, made at the first call. */
  secret(): Promise<Buffer>
  /** This edge process lives, and is there; whoever listens is told. Say so again every `edgeBeatMs`. */
  publish(address: EdgeAddress): Promise<void>
  all(): Promise<readonly EdgeAddress[]>
  /** Calls back with what any process publishes. What may have been missed is told as a change. The result ends it. */
  onPublished(listener: (address: EdgeAddress) => void): () => void
}

const secretBytes = 32

/** Over the control store, which belongs to the caller. */
export class SqlEdgeAddresses implements EdgeAddresses {
  /** To be listened to together with the change feed. */
  readonly channel: OwnChannel
  readonly #database: Database
  readonly #listeners = new Set<(address: EdgeAddress) => void>()

  constructor(database: Database, logger: Logger) {
    this.#database = database
    this.channel = {
      name: 'penstock_edges',
      onPayload: (payload) => {
        const [edgeId, text] = payload.split('\n')
        const address = text === undefined ? undefined : addressFrom(edgeId, text)
        if (address) tellAll(this.#listeners, address, logger)
      },
    }
  }

  async secret(): Promise<Buffer> {
    const made = randomBytes(secretBytes).toString('base64')
    await this.#database.query('INSERT INTO penstock.downlink (secret) VALUES ($1) ON CONFLICT DO NOTHING', [made])
    const [row] = await this.#database.query<{ secret: string }>('SELECT secret FROM penstock.downlink')
    return Buffer.from(row?.secret ?? '', 'base64')
  }

  async publish({ edgeId, host, port }: EdgeAddress): Promise<void> {
    const text = `${host} ${port}`
    await this.#database.query(
      `WITH edge AS (
         INSERT INTO penstock.edges (edge_id, heard_at, address) VALUES ($1, now(), $2)
         ON CONFLICT (edge_id) DO UPDATE SET heard_at = now(), address = excluded.address
       )
       SELECT pg_notify($3, $1 || E'\\n' || $2)`,
      [edgeId, text, this.channel.name],
    )
  }

  async all(): Promise<readonly EdgeAddress[]> {
    const rows = await this.#database.query<{ edge_id: string; address: string }>(
      'SELECT edge_id, address FROM penstock.edges WHERE address IS NOT NULL',
    )
    return rows.flatMap(({ edge_id, address }) => addressFrom(edge_id, address) ?? [])
  }

  onPublished(listener: (address: EdgeAddress) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

/** `undefined`: of a newer process, which says it otherwise. */
function addressFrom(edgeId: string | undefined, text: string): EdgeAddress | undefined {
  const [host = '', port] = text.split(' ')
  if (edgeId === undefined || host === '' || !/^\d{1,5}$/.test(port ?? '')) return undefined
  return { edgeId, host, port: Number(port) }
}
