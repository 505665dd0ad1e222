/**
 * Reading as from Event Hubs, at the edge's own code: what comes out is frames, and no socket is measured.
 *
 *   E-1   messages per core ÷ those that are read from the log, decompressed and walked; reach ≥ 0.3
 *   E-2   is counted by `infra/system-tests/reading-restarted.fault.ts`, `MESSAGES=10000000 KILLS=30`: each message once, none missing
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { BenchRecord, benchArguments } from './bench-record.ts'

const script = join(import.meta.dirname, '../../ingest/services/reading.bench.ts')
const messages = 500_000

/** As the script prints it. */
interface Round {
  readonly decodeNs: number
  readonly readNs: number
}

function bench(): void {
  const args = benchArguments({ rounds: 5, seconds: 0 })
  const record = new BenchRecord('e-reading', 'E-1: reading events over AMQP')
  for (let round = 0; round < args.rounds; round++) {
    const output = execFileSync(process.execPath, [script, String(messages)], { encoding: 'utf8' })
    const { decodeNs, readNs } = JSON.parse(output) as Round
    record.add('log read and decoded, ns of CPU a message', decodeNs)
    record.add('read by one reader, ns of CPU a message', readNs)
    record.add('E-1', decodeNs / readNs)
  }
  record.finish(
    `**E-1 ${record.median('E-1').toFixed(2)} (reach ≥ 0.3).**`,
    `${messages.toLocaleString('en')} messages of 48 bytes, 1,000 a record, of 100 devices; a log in memory.`,
    args,
  )
}

if (import.meta.main) bench()
