import { randomUUID } from 'node:crypto'
import {
  cancelJobRow,
  expectPlace,
  insertJob,
  type JobRow,
  jobFromRow,
  shownColumns,
  unknownJob,
} from '#control/jobs/job-rows.ts'
import { type JobLease, type TransferType, transferTypes } from '#control/jobs/jobs.ts'
import { changeLeased, leaseLost } from '#control/jobs/lease-rows.ts'
import type { Database, Queries, SqlRow } from '#control/store/database.ts'
import type { SecretsKey } from '#control/store/secrets-key.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import type {
  BlobAddress,
  NewTransfer,
  ShownBlob,
  Transfer,
  TransferCounts,
  TransferPosition,
  TransferState,
  Transfers,
  TransferWork,
} from './transfers.ts'

const beginning: TransferPosition = {
  bytes: 0,
  lines: 0,
  etag: '',
  continuation: '',
  phase: 'devices',
  blocks: 0,
  runs: [],
  pending: '',
}

interface CountsRow extends SqlRow {
  readonly percent: number
  readonly done: number
  readonly refused: number
}

interface StateRow extends CountsRow {
  readonly secrets: string
  readonly position: string
}

interface TransferRow extends JobRow, CountsRow {
  readonly type: TransferType
  readonly begun_at: Date | null
}

/** What stands in the row of the job: all but the signatures. */
type ShownContent = Pick<Transfer, 'source' | 'target' | 'isWithoutKeys'>

const countColumns = 't.percent, t.done::float8 AS done, t.refused::float8 AS refused'

const selectTransfers = `SELECT j.*, ${countColumns}
  FROM (SELECT ${shownColumns} FROM penstock.jobs) j JOIN penstock.transfers t ON t.job_id = j.id`

/** Transfers over the control store, which belongs to the caller. */
export class SqlTransfers implements Transfers, TransferWork {
  readonly #database: Database
  readonly #key: SecretsKey | undefined

  /** @param key seals what a transfer is to do; `undefined` where none is begun or run */
  constructor(database: Database, key: SecretsKey | undefined) {
    this.#database = database
    this.#key = key
  }

  async create(transfer: NewTransfer): Promise<Transfer> {
    await expectPlace(this.#database)
    const id = randomUUID()
    const { type, source, target, isWithoutKeys } = transfer
    const shown: ShownContent = { source: source && shownBlob(source), target: shownBlob(target), isWithoutKeys }
    await this.#database.transaction(async (queries) => {
      const executionSeconds = limits.jobExecutionSecondsMax
      const content = JSON.stringify(shown)
      await insertJob(queries, { id, type, condition: '', content, startAtMs: undefined, executionSeconds })
      await queries.query('INSERT INTO penstock.transfers (job_id, secrets, position) VALUES ($1, $2, $3)', [
        id,
        this.#keyOfSecrets.seal(secretsOf(id), JSON.stringify(transfer)),
        JSON.stringify(beginning),
      ])
    })
    return this.get(id)
  }

  async get(id: string): Promise<Transfer> {
    const [row] = await this.#database.query<TransferRow>(`${selectTransfers} WHERE j.id = $1`, [id])
    if (row === undefined) throw unknownJob(id)
    return transferFromRow(row)
  }

  async cancel(id: string): Promise<void> {
    await cancelJobRow(this.#database, id, transferTypes)
    await this.get(id)
  }

  async list(countMax: number): Promise<Transfer[]> {
    const rows = await this.#database.query<TransferRow>(
      `${selectTransfers} ORDER BY j.created_at DESC, j.id LIMIT $1`,
      [countMax],
    )
    return rows.map(transferFromRow)
  }

  async read(jobId: string): Promise<TransferState | undefined> {
    const [row] = await this.#database.query<StateRow>(
      `SELECT secrets, position, ${countColumns} FROM penstock.transfers t JOIN penstock.jobs j ON j.id = t.job_id
       WHERE j.id = $1 AND secrets IS NOT NULL AND NOT j.is_whole`,
      [jobId],
    )
    if (row === undefined) return undefined
    const transfer: NewTransfer = JSON.parse(this.#keyOfSecrets.open(secretsOf(jobId), row.secrets))
    return { transfer, at: { ...beginning, ...JSON.parse(row.position) }, counts: countsFromRow(row) }
  }

  get #keyOfSecrets(): SecretsKey {
    assert(this.#key !== undefined, 'who begins or runs transfers has the key of secrets')
    return this.#key
  }

  async advance(
    queries: Queries | undefined,
    { jobId, token }: JobLease,
    at: TransferPosition,
    { percent, done, refused }: TransferCounts,
  ): Promise<void> {
    const advanced = await (queries ?? this.#database).query(
      `UPDATE penstock.transfers SET position = $3, percent = $4, done = $5, refused = $6
       WHERE job_id = (SELECT id FROM penstock.jobs WHERE id = $1 AND lease = $2 AND ended_at IS NULL FOR UPDATE) RETURNING 1`,
      [jobId, token, JSON.stringify(at), percent, done, refused],
    )
    if (advanced.length === 0) throw leaseLost(jobId)
  }

  async expectRunning({ jobId, token }: JobLease): Promise<void> {
    const running = await this.#database.query(
      'SELECT 1 FROM penstock.jobs WHERE id = $1 AND lease = $2 AND ended_at IS NULL',
      [jobId, token],
    )
    if (running.length === 0) throw leaseLost(jobId)
  }

  complete(lease: JobLease, at: TransferPosition, counts: TransferCounts): Promise<void> {
    return this.#database.transaction(async (queries) => {
      await this.advance(queries, lease, at, counts)
      await changeLeased(queries, lease, 'is_whole = true', 'ended_at IS NULL')
    })
  }

  async countIdentities(): Promise<number> {
    const [row] = await this.#database.query<{ count: number }>(
      'SELECT count(*)::float8 AS count FROM penstock.identities',
    )
    return row?.count ?? 0
  }

  async sweep(): Promise<void> {
    await this.#database.query(
      `UPDATE penstock.transfers SET secrets = NULL, position = '{}'
       WHERE secrets IS NOT NULL AND EXISTS (SELECT FROM penstock.jobs WHERE id = job_id AND ended_at IS NOT NULL)`,
    )
  }
}

/** What the secrets of a transfer are bound to: as those of another job they cannot be read. */
const secretsOf = (jobId: string): string => `transfers.${jobId}`

function shownBlob({ endpoint, container, blob }: BlobAddress): ShownBlob {
  return { containerUri: `${endpoint.replace(/\/$/, '')}/${container}`, blob }
}

function countsFromRow({ percent, done, refused }: CountsRow): TransferCounts {
  return { percent, done, refused }
}

function transferFromRow(row: TransferRow): Transfer {
  const shown: ShownContent = JSON.parse(row.content)
  return { ...jobFromRow(row), type: row.type, ...shown, ...countsFromRow(row), begunAtMs: row.begun_at?.getTime() }
}
