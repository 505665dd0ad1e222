/**
 * AMQP beside MQTT and beside a server of `rhea`, at the edge's own code: what goes in is bytes, and no socket and no log is measured.
 *
 *   A-1   messages per core ÷ MQTT QoS 1, both acknowledged; reach ≥ 0.6
 *   A-2   the same ÷ a rhea server that accepts each message and stores none; reach ≥ 20
 *   A-3   memory of an idle connection with four links, without its socket, and of a device of 1,000 on one; reach ≤ 16 KB, ≤ 6 KB
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { BenchRecord, benchArguments } from './bench-record.ts'

const script = join(import.meta.dirname, '../../ingest/amqp/connection.bench.ts')
const messages = 1_000_000

/** As the script prints it. */
interface Round {
  readonly mqttNs: number
  readonly amqpNs: number
  readonly rheaNs: number
  readonly idleBytes: number
  readonly deviceBytes: number
}

function bench(): void {
  const args = benchArguments({ rounds: 5, seconds: 0 })
  const record = new BenchRecord('amqp', 'A-1, A-2, A-3: AMQP beside MQTT and rhea')
  for (let round = 0; round < args.rounds; round++) {
    const output = execFileSync(process.execPath, ['--expose-gc', script, String(messages)], { encoding: 'utf8' })
    const { mqttNs, amqpNs, rheaNs, idleBytes, deviceBytes } = JSON.parse(output) as Round
    record.add('MQTT QoS 1, ns of CPU a message', mqttNs)
    record.add('AMQP, ns of CPU a message', amqpNs)
    record.add('rhea, ns of CPU a message', rheaNs)
    record.add('A-1', mqttNs / amqpNs)
    record.add('A-2', rheaNs / amqpNs)
    record.add('A-3, KiB an idle connection', idleBytes / 1024)
    record.add('A-3, KiB a device of 1,000', deviceBytes / 1024)
  }
  const reached = (figure: string, digits: number): string => record.median(figure).toFixed(digits)
  record.finish(
    `**A-1 ${reached('A-1', 2)} (reach ≥ 0.6), A-2 ${reached('A-2', 0)} (≥ 20), A-3 ${reached('A-3, KiB an idle connection', 1)} and ${reached('A-3, KiB a device of 1,000', 1)} KiB (≤ 16, ≤ 6).**`,
    `${messages.toLocaleString('en')} messages of 48 bytes a measurement, over 20 connections, of rhea 100,000 over one.`,
    args,
  )
}

if (import.meta.main) bench()
