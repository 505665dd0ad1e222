/**
 * N-4: telemetry over HTTP, one message a POST, answered when it is durable, against a bare uWebSockets.js handler that stores
 * nothing. Requests for each CPU second of the target, since the generator is the slower of the two. Reach: ≥ 0.6 ×.
 */
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { freePort } from '#runtime/free-ports.ts'
import { cpuSecondsOf } from '#runtime/processes.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'

/** What is used of autocannon, which has no types of its own. */
type Autocannon = (options: object) => Promise<{
  readonly '2xx': number
  readonly non2xx: number
  readonly errors: number
  /** Seconds. */
  readonly duration: number
  readonly latency: { readonly p99: number }
}>

export const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon

const targetCpu = '0'
const generatorCpu = '1'
const connections = 1_000
export const body = '{"temperature":21.5,"humidity":40,"sequence":12345}'
/** Not measured: code is compiled, files and heaps grow. */
const warmUpSeconds = 2

interface HttpTarget {
  readonly name: string
  readonly port: number
  cpuSeconds(): number
  stop(): Promise<void>
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 5 })
  const record = new BenchRecord('n4-http', 'N-4: telemetry over HTTP against a bare handler')
  for (let round = 0; round < args.rounds; round++) {
    for (const start of [startEdge, startBare]) {
      const target = await start()
      try {
        await untilAnswered(target.port)
        await loadPosts(target.port, warmUpSeconds)
        const before = target.cpuSeconds()
        const { requests, seconds, failures, latencyMsP99 } = await loadPosts(target.port, args.seconds)
        const cpuSeconds = target.cpuSeconds() - before
        record.add(`${target.name}, requests a CPU second`, requests / cpuSeconds)
        record.add(`${target.name}, requests/s`, requests / seconds)
        record.add(`${target.name}, share of a core`, cpuSeconds / seconds)
        record.add(`${target.name}, latency p99, ms`, latencyMsP99)
        if (failures > 0) record.note(`${target.name}: ${failures} requests were not answered 2xx.`)
      } finally {
        await target.stop()
      }
    }
  }
  const ratio = (figure: string) => record.median(`Penstock edge, ${figure}`) / record.median(`bare handler, ${figure}`)
  record.finish(
    `**${ratio('requests a CPU second').toFixed(2)} × a bare handler a CPU second (reach 0.6); ${ratio('requests/s').toFixed(2)} × its requests/s.**`,
    `${connections} connections, one request under way on each, 51-byte JSON; target on CPU ${targetCpu}, autocannon on CPU ${generatorCpu}.`,
    args,
  )
}

async function startEdge(): Promise<HttpTarget> {
  const port = await freePort()
  const target = await startMeasured('edge', {
    cpuList: targetCpu,
    environment: { PENSTOCK_HTTP_PORT: String(port) },
  })
  return {
    name: 'Penstock edge',
    port,
    cpuSeconds: () => target.cpuSeconds(),
    stop: async () => void (await target.stop()),
  }
}

async function startBare(): Promise<HttpTarget> {
  const port = await freePort()
  const script = join(import.meta.dirname, '../peers/bare-http.ts')
  const child = spawn('taskset', ['-c', targetCpu, process.execPath, script, String(port)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = (): Promise<void> => {
    child.kill('SIGTERM')
    return ended
  }
  return { name: 'bare handler', port, cpuSeconds: () => cpuSecondsOf(child.pid ?? 0), stop }
}

const pathOf = (device: number): string => `/devices/http-${device}/messages/events`

/** Telemetry of a hundred devices, one request under way on each of 1,000 connections. */
export async function loadPosts(port: number, seconds: number) {
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections,
    duration: seconds,
    requests: Array.from({ length: 100 }, (_, device) => ({ method: 'POST', path: pathOf(device), body })),
  })
  return {
    requests: result['2xx'],
    seconds: result.duration,
    failures: result.non2xx + result.errors,
    latencyMsP99: result.latency.p99,
  }
}

const startMsMax = 30_000

/** Resolves once telemetry is taken at `port`. */
export async function untilAnswered(port: number): Promise<void> {
  const signal = AbortSignal.timeout(startMsMax)
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${port}${pathOf(0)}`, { method: 'POST', body, signal }).then(
      ({ ok }) => ok,
      () => false,
    )
    if (answered) return
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** The generator keeps to its own CPU. */
export async function onGeneratorCpu(): Promise<void> {
  const child = spawn('taskset', ['-cp', generatorCpu, String(process.pid)], { stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
}

if (import.meta.main) {
  await onGeneratorCpu()
  await bench()
}
