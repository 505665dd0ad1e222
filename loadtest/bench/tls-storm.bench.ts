/**
 * A handshake storm: every device reconnects over TLS at once. Connections accepted a second, with full handshakes and with
 * resumed sessions, and what it does to the PUBACKs of devices that are established.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { figuresSaid } from './figures-said.ts'
import { startTlsEdge } from './tls-edge.ts'

const run = promisify(execFile)
const targetCpu = '0'
const generatorCpu = '1'
const atOnce = 500
const established = { connections: 50, rate: 500 }

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 8 })
  const record = new BenchRecord('tls-storm', 'A storm of TLS handshakes')
  for (let round = 0; round < args.rounds; round++) {
    const { mqttsUrl, stop } = await startTlsEdge(targetCpu)
    const load = {
      ...loadDefaults,
      ...established,
      url: mqttsUrl,
      isTlsUnverified: true,
      cpuList: generatorCpu,
      seconds: args.seconds,
    }
    try {
      for (const kind of ['no storm', 'full', 'resumed'] as const) {
        const storm = kind === 'no storm' ? undefined : stormOf(Number(new URL(mqttsUrl).port), args.seconds, kind)
        const { latency, warnings } = await runLoad({ ...load, run: `storm${round}${kind.replace(' ', '')}` })
        record.add(`${kind}: PUBACK p50 of established devices, ms`, latency.acknowledged.summary.p50Ms)
        record.add(`${kind}: PUBACK p99 of established devices, ms`, latency.acknowledged.summary.p99Ms)
        const outcome = await storm
        if (outcome === undefined) continue
        record.add(`${kind}: connections accepted a second`, outcome.perSecond)
        if (outcome.failed > 0) record.note(`${kind}: ${outcome.failed} connections failed.`)
        for (const warning of warnings) record.note(`${kind}: ${warning}.`)
      }
    } finally {
      await stop()
    }
  }
  const median = (figure: string) => record.median(figure).toFixed(0)
  record.finish(
    `**${median('full: connections accepted a second')} full and ${median('resumed: connections accepted a second')} resumed TLS connections a second on one core, CONNECT and CONNACK included; ` +
      `established devices' PUBACK p99 ${median('no storm: PUBACK p99 of established devices, ms')} ms without a storm, ${median('full: PUBACK p99 of established devices, ms')} and ${median('resumed: PUBACK p99 of established devices, ms')} ms in it.**`,
    `TLS 1.3, ECDSA P-256; ${atOnce} devices reconnect without end, ${established.connections} others send ${established.rate} messages/s in all at QoS 1; target on CPU ${targetCpu}, ` +
      `both kinds of devices on CPU ${generatorCpu}.`,
    args,
  )
}

async function stormOf(
  port: number,
  seconds: number,
  kind: 'full' | 'resumed',
): Promise<{ perSecond: number; failed: number }> {
  const script = join(import.meta.dirname, 'tls-clients.ts')
  // Below the established devices' generator, which shares the CPU and must keep its schedule.
  const line = [
    '-n',
    '19',
    'taskset',
    '-c',
    generatorCpu,
    process.execPath,
    script,
    String(port),
    String(seconds),
    String(atOnce),
    kind,
  ]
  return figuresSaid((await run('nice', line)).stdout, 'perSecond', 'failed')
}

if (import.meta.main) await bench()
