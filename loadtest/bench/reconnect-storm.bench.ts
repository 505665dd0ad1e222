/**
 * A reconnect storm beside steady traffic: 2,000 devices connect at once, over TCP, TLS and WebSocket, to an edge that takes 50 messages a
 * second from each of 1,000 others and so gathers. Reach: ≥ 2,000 a second.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { figuresSaid } from './figures-said.ts'
import { startTlsEdge } from './tls-edge.ts'

const run = promisify(execFile)
const targetCpu = '0'
const generatorCpu = '1'
const steady = { connections: 1_000, rate: 50_000 }
const devices = 2_000
/** Until the edge gathers, code is compiled. */
const settleMs = 5_000

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 10 })
  const record = new BenchRecord('reconnect-storm', 'A site that comes back beside steady traffic')
  for (let round = 0; round < args.rounds; round++) {
    const { edge, mqttsUrl, stop } = await startTlsEdge(targetCpu)
    const ways = {
      TCP: edge.mqttUrl,
      TLS: mqttsUrl,
      WebSocket: `${edge.httpUrl.replace(/^http/, 'ws')}/mqtt`,
    }
    try {
      for (const [way, url] of Object.entries(ways)) {
        for (const load of ['alone', 'beside the load'] as const) {
          const others =
            load === 'alone'
              ? undefined
              : runLoad({
                  ...loadDefaults,
                  ...steady,
                  url: edge.mqttUrl,
                  cpuList: generatorCpu,
                  run: `storm${round}`,
                  seconds: args.seconds,
                })
          if (others) await setTimeout(settleMs)
          const script = join(import.meta.dirname, 'storm-clients.ts')
          const { stdout } = await run('taskset', ['-c', generatorCpu, process.execPath, script, url, String(devices)])
          const { ms, failed } = figuresSaid(stdout, 'ms', 'failed')
          record.add(`${way}, ${load}: devices a second`, (devices * 1_000) / ms)
          if (failed > 0) record.note(`${way}, ${load}: ${failed} connections failed.`)
          await others
        }
      }
    } finally {
      await stop()
    }
  }
  const median = (way: string) => record.median(`${way}, beside the load: devices a second`).toFixed(0)
  record.finish(
    `**Beside the load ${median('TCP')} devices a second over TCP, ${median('TLS')} over TLS, ${median('WebSocket')} over WebSocket (reach ≥ 2,000).**`,
    `${devices} devices connect at once; ${steady.connections} others send ${steady.rate} messages/s at QoS 1; one edge process on CPU ${targetCpu}, all devices on CPU ${generatorCpu}. A full handshake of TLS 1.3 costs an edge some 1.2 ms of CPU.`,
    args,
  )
}

if (import.meta.main) await bench()
