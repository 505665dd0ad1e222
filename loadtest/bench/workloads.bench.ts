/**
 * The edge alone under the workloads that a hub sees besides saturation: one message a read on few and many connections, large bodies,
 * TLS, WebSocket, HTTP. CPU a message; all on a schedule that leaves room, QoS 1, acknowledged when durable.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { freePorts } from '#runtime/free-ports.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'
import { selfSigned } from './self-signed.ts'

const targetCpu = '0'
const generatorCpu = '1'
/** Not measured: code is compiled, files and heaps grow. */
const warmUpSeconds = 3

type Way = 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'http'
interface Workload extends Partial<LoadOptions> {
  readonly way: Way
}

const workloads: Readonly<Record<string, Workload>> = {
  '1,000 × 20/s': { way: 'mqtt', connections: 1_000, rate: 20_000 },
  '10,000 × 2/s': { way: 'mqtt', connections: 10_000, rate: 20_000 },
  '100 × 50/s, 4 KB': { way: 'mqtt', connections: 100, rate: 5_000, bodyBytes: 4_096 },
  '100 × 2/s, 64 KB': { way: 'mqtt', connections: 100, rate: 200, bodyBytes: 65_536 },
  '20 × 2/s, 256 KB': { way: 'mqtt', connections: 20, rate: 40, bodyBytes: 262_144 },
  '1,000 × 20/s, TLS': { way: 'mqtts', connections: 1_000, rate: 20_000 },
  '1,000 × 20/s, WebSocket': { way: 'ws', connections: 1_000, rate: 20_000 },
  '1,000 × 20/s, WebSocket on TLS': { way: 'wss', connections: 1_000, rate: 20_000 },
  '200 × 50/s, HTTP': { way: 'http', connections: 200, rate: 10_000 },
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 6 })
  const record = new BenchRecord('workloads', 'The edge under other workloads than saturation')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-workloads-'))
  const { certFile, keyFile } = selfSigned(folder)
  for (let round = 0; round < args.rounds; round++) {
    for (const [name, { way, ...given }] of Object.entries(workloads)) {
      const [http = 0, mqtts = 0, https = 0] = await freePorts(3)
      const environment = {
        PENSTOCK_HTTP_PORT: String(http),
        PENSTOCK_TLS_CERT: certFile,
        PENSTOCK_TLS_KEY: keyFile,
        PENSTOCK_MQTTS_PORT: String(mqtts),
        PENSTOCK_AMQPS_PORT: '0',
        PENSTOCK_HTTPS_PORT: String(https),
      }
      const target = await startMeasured('edge', { cpuList: targetCpu, environment })
      const urls: Record<Way, string> = {
        mqtt: target.mqttUrl,
        mqtts: `mqtts://127.0.0.1:${mqtts}`,
        ws: `ws://127.0.0.1:${http}`,
        wss: `wss://127.0.0.1:${https}`,
        http: `http://127.0.0.1:${http}`,
      }
      const load = { ...loadDefaults, ...given, url: urls[way], isTlsUnverified: true, cpuList: generatorCpu }
      try {
        await runLoad({ ...load, run: 'warmup', seconds: warmUpSeconds })
        const before = target.cpuSeconds()
        const { counts, latency, warnings } = await runLoad({ ...load, run: `w${round}`, seconds: args.seconds })
        const cpuMicroseconds = (target.cpuSeconds() - before) * 1e6
        record.add(`${name}: µs of CPU a message`, cpuMicroseconds / counts.atEnd.settled)
        record.add(`${name}: acknowledged ÷ offered`, counts.atEnd.settled / counts.atEnd.offered)
        record.add(`${name}: PUBACK p99, ms`, latency.acknowledged.summary.p99Ms)
        for (const warning of warnings) record.note(`${name}: ${warning}.`)
      } finally {
        await target.stop()
      }
    }
  }
  rmSync(folder, { recursive: true, force: true })
  const median = (name: string) => record.median(`${name}: µs of CPU a message`).toFixed(1)
  record.finish(
    `**CPU a message: ${median('1,000 × 20/s')} µs over TCP, ${median('1,000 × 20/s, TLS')} over TLS, ${median('1,000 × 20/s, WebSocket')} over WebSocket, ${median('1,000 × 20/s, WebSocket on TLS')} over both, ${median('200 × 50/s, HTTP')} over HTTP.**`,
    `Connections × messages/s of each; 48-byte JSON unless another size is named; QoS 1; target on CPU ${targetCpu}, generator on CPU ${generatorCpu}. Connecting is in the CPU.`,
    args,
  )
}

if (import.meta.main) await bench()
