/**
 * What the ClickHouse engine alone inserts: Avro batches as the pipeline makes them, into a table with the pipeline's own
 * definition, and nothing else running. It is the denominator of N-1.
 *
 * Usage: node infra/run.js loadtest/peers/engine-alone.ts --clickhouse http://127.0.0.1:8123 --pid <its process> [--seconds 5] [--rows-insert 262144]
 */
import { parseArgs } from 'node:util'
import { zstdCompressSync } from 'node:zlib'
import { sequenceBase, valueOfMessage } from '#loadtest/generate/body-layout.ts'
import { cpuSecondsOf } from '#runtime/processes.ts'
import { batchFromBlock, batchHeader, blocksOfBatch, lengthPrefixed, longBytes } from '#schemas/batch.ts'
import { PenstockError } from '#schemas/errors.ts'
import { migrationsTableStatements, telemetryInput, telemetryMigrations } from '#schemas/telemetry-table.ts'

export interface EngineAloneOptions {
  /** ClickHouse HTTP address. */
  readonly clickhouse: string
  /** The engine's process, for its CPU. */
  readonly pid: number
  readonly seconds: number
  readonly rowsPerInsert: number
}

export interface EngineAloneResult {
  readonly rows: number
  readonly inserts: number
  readonly rowsPerSecond: number
  readonly rowsPerCpuSecond: number
  readonly bytesPerRow: number
}

const devices = 100
const rowsPerBlock = 4_096
const partitions = 4

/** Inserts for some seconds, one insert at a time, after a warm-up insert. @throws WAREHOUSE_REFUSED */
export async function measureEngineAlone(options: EngineAloneOptions): Promise<EngineAloneResult> {
  const { clickhouse, pid, seconds, rowsPerInsert } = options
  const tables = { replicated: false, ttlDays: 0 }
  for (const statement of [
    ...migrationsTableStatements(tables),
    ...telemetryMigrations(tables).flatMap(({ statements }) => statements),
  ])
    await post(clickhouse, statement, undefined)
  // Batches are made before the clock runs: compressing them is the edge's work.
  const nowMs = Date.now()
  const bodies = Array.from({ length: partitions }, (_, partition) => insertBody(partition, rowsPerInsert, nowMs))
  await post(clickhouse, insertStatement(0, 0), bodies[0])
  const cpuBefore = cpuSecondsOf(pid)
  const begunMs = performance.now()
  let inserts = 0
  while (performance.now() - begunMs < seconds * 1000) {
    const partition = inserts % partitions
    await post(clickhouse, insertStatement(partition, ++inserts), bodies[partition])
  }
  const elapsedSeconds = (performance.now() - begunMs) / 1000
  const cpuSeconds = cpuSecondsOf(pid) - cpuBefore
  const rows = inserts * rowsPerInsert
  const bytes = bodies.reduce((sum, body) => sum + body.length, 0) / partitions
  return {
    rows,
    inserts,
    rowsPerSecond: rows / elapsedSeconds,
    rowsPerCpuSecond: rows / cpuSeconds,
    bytesPerRow: bytes / rowsPerInsert,
  }
}

function insertStatement(partition: number, offset: number): string {
  return (
    'INSERT INTO penstock.telemetry (device_id, enqueued_at, body, properties, system_properties, log_partition, log_offset) ' +
    `SELECT deviceId, enqueuedAtMs, body, properties, systemProperties, ${partition}, ${offset} ` +
    `FROM input('${telemetryInput.replaceAll("'", "\\'")}') FORMAT Avro`
  )
}

/** Joined batches of one insert: runs of one device's messages, as an edge reads them from its sockets. */
function insertBody(partition: number, rows: number, nowMs: number): Buffer {
  const parts: Uint8Array[] = [batchHeader]
  let sequence = 0
  for (let done = 0; done < rows; done += rowsPerBlock) {
    const count = Math.min(rowsPerBlock, rows - done)
    const envelopes: Uint8Array[] = []
    for (let row = 0; row < count; row++, sequence++) {
      const device = (Math.floor(sequence / 64) * partitions + partition) % devices
      envelopes.push(
        lengthPrefixed(Buffer.from(`load-engine-${String(device).padStart(6, '0')}`)),
        longBytes(nowMs + Math.floor(sequence / 1000)),
        lengthPrefixed(
          Buffer.from(
            `{"seq":${sequenceBase + sequence},"at":${nowMs + Math.floor(sequence / 1000)},"v":"${String(valueOfMessage(sequence, device)).padStart(4, '0')}"}`,
          ),
        ),
        Uint8Array.of(0, 0),
      )
    }
    parts.push(blocksOfBatch(batchFromBlock(count, zstdCompressSync(Buffer.concat(envelopes)))))
  }
  return Buffer.concat(parts)
}

async function post(clickhouse: string, statement: string, body: Buffer | undefined): Promise<void> {
  const target = new URL(clickhouse)
  if (body !== undefined) {
    target.searchParams.set('query', statement)
    // One insert is one block, and none is dropped for being alike.
    target.searchParams.set('max_insert_block_size', '1048449')
    target.searchParams.set('min_insert_block_size_rows', '1048449')
    target.searchParams.set('min_insert_block_size_bytes', '0')
    target.searchParams.set('insert_deduplicate', '0')
    target.searchParams.set('async_insert', '0')
  }
  const response = await fetch(target, { method: 'POST', body: body ? new Uint8Array(body) : statement })
  const text = await response.text()
  if (!response.ok) throw new PenstockError('WAREHOUSE_REFUSED', text.slice(0, 1000))
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      clickhouse: { type: 'string', default: 'http://127.0.0.1:8123' },
      pid: { type: 'string' },
      seconds: { type: 'string', default: '5' },
      'rows-insert': { type: 'string', default: '262144' },
    },
  })
  const result = await measureEngineAlone({
    clickhouse: values.clickhouse,
    pid: Number(values.pid),
    seconds: Number(values.seconds),
    rowsPerInsert: Number(values['rows-insert']),
  })
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
}
