/**
 * Each message alone: CPU of a message that a device sends by itself and that is acknowledged when durable, in steady state. In turns: this
 * tree's edge, with `--commit` that commit's, mosquitto, and a loop on Node's sockets that parses, acknowledges and stores nothing.
 *
 * Counted is while all devices send: neither connecting, nor the seconds until an edge gathers.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Broker, startBroker } from '#infra/testbed/broker.ts'
import { pinnedTo, type Target } from '#infra/testbed/target.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { minimalLoop, secureMinimalLoop, secureMosquitto, unboundedMosquitto } from '#loadtest/peers/brokers.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { startMeasured } from './measured-penstock.ts'
import { selfSigned } from './self-signed.ts'
import { startTlsEdge } from './tls-edge.ts'

const targetCpu = '0'
const generatorCpu = '1'
/** Not measured: code is compiled, an edge finds out that gathering pays. */
const warmUpSeconds = 4
const root = join(import.meta.dirname, '../..')

interface Load {
  readonly name: string
  readonly connections: number
  readonly rate: number
  readonly isSecure: boolean
}

/** A TLS generator does not keep 50,000 messages a second on one core. */
const loads: readonly Load[] = [
  { name: '1,000 × 50/s', connections: 1_000, rate: 50_000, isSecure: false },
  { name: '5,000 × 10/s', connections: 5_000, rate: 50_000, isSecure: false },
  { name: '1,000 × 30/s, TLS', connections: 1_000, rate: 30_000, isSecure: true },
]

interface Measured {
  readonly name: string
  start(load: Load): Promise<Pick<Target, 'mqttUrl' | 'cpuSeconds' | 'stop'>>
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 5, seconds: 6 })
  const record = new BenchRecord('each-message', 'Each message alone')
  const folder = mkdtempSync(join(tmpdir(), 'penstock-each-'))
  try {
    const targets = targetsOf(folder, args.commit)
    for (let round = 0; round < args.rounds; round++)
      // Whoever is first in a round finds another machine than whoever is last: they change places.
      for (const load of loads)
        for (let turn = 0; turn < targets.length; turn++) {
          const target = targets[(round + turn) % targets.length]
          if (target !== undefined) await measure(target, load, `each${round}`, args.seconds, record)
        }
    const shares = loads.map((load) => {
      const [edge, other] = ['edge', 'mosquitto'].map((name) => record.median(cpuFigure(load, name)))
      return `${load.name} ${((edge ?? Number.NaN) / (other ?? Number.NaN)).toFixed(2)}`
    })
    record.finish(
      `**Of mosquitto's CPU a message: ${shares.join('; ')}.**`,
      `48-byte JSON, QoS 1, on a schedule, each device at its own phase; target on CPU ${targetCpu}, generator on CPU ${generatorCpu}; TLS 1.3, ECDSA P-256.`,
      args,
    )
  } finally {
    if (args.commit !== undefined)
      execFileSync('git', ['worktree', 'remove', '--force', join(folder, 'tree')], { cwd: root, stdio: 'ignore' })
    rmSync(folder, { recursive: true, force: true })
  }
}

function targetsOf(folder: string, commit: string | undefined): readonly Measured[] {
  const files = selfSigned(folder)
  const before = commit === undefined ? undefined : treeOf(join(folder, 'tree'), commit)
  return [
    edgeOf('edge', root),
    ...(before === undefined ? [] : [edgeOf('edge before', before)]),
    broker('mosquitto', unboundedMosquitto, secureMosquitto(files)),
    broker('minimal loop', minimalLoop, secureMinimalLoop(files)),
  ]
}

/** With what is installed here. */
function treeOf(folder: string, commit: string): string {
  execFileSync('git', ['worktree', 'add', '--detach', folder, commit], { cwd: root, stdio: 'ignore' })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

function edgeOf(name: string, tree: string): Measured {
  return {
    name,
    start: async ({ isSecure }) => {
      if (!isSecure) return startMeasured('edge', { cpuList: targetCpu, root: tree })
      const { edge, mqttsUrl, stop } = await startTlsEdge(targetCpu, tree)
      return { mqttUrl: mqttsUrl, cpuSeconds: () => edge.cpuSeconds(), stop }
    },
  }
}

function broker(name: string, plain: Broker, secure: Broker): Measured {
  return {
    name,
    start: async ({ isSecure }) => {
      const started = await startBroker(isSecure ? secure : plain, pinnedTo(targetCpu))
      return isSecure ? { ...started, mqttUrl: started.mqttUrl.replace('mqtt:', 'mqtts:') } : started
    },
  }
}

interface Moment {
  readonly atMs: number
  readonly cpuSeconds: number
}

async function measure(
  { name, start }: Measured,
  load: Load,
  run: string,
  seconds: number,
  record: BenchRecord,
): Promise<void> {
  const { connections, rate } = load
  const target = await start(load)
  try {
    const moments: Moment[] = []
    const onProgress = ({ settled }: { readonly settled: number }) => {
      if (settled < warmUpSeconds * rate) return
      moments.push({ atMs: performance.now(), cpuSeconds: target.cpuSeconds() })
    }
    const to = { ...loadDefaults, url: target.mqttUrl, isTlsUnverified: true, cpuList: generatorCpu }
    const options = { ...to, run, connections, rate, warmUpSeconds, seconds: warmUpSeconds + seconds }
    const { counts, latency, warnings } = await runLoad(options, { onProgress })
    // The last one may be of the time after the last message.
    const [first, last] = [moments[0], moments.at(-2)]
    if (first === undefined || last === undefined || first === last)
      throw new Error(`${name}: too few messages to measure`)
    // By the schedule: what a generator says of itself may be heard late.
    const messages = (rate * (last.atMs - first.atMs)) / 1000
    record.add(cpuFigure(load, name), ((last.cpuSeconds - first.cpuSeconds) * 1e6) / messages)
    record.add(`${load.name}: ${name}, PUBACK p50, ms`, latency.acknowledged.summary.p50Ms)
    const isBehind = counts.atEnd.settled < counts.atEnd.offered * 0.99
    for (const warning of isBehind ? ['fewer acknowledged than offered', ...warnings] : warnings)
      record.note(`${load.name}: ${name}: ${warning}.`)
  } finally {
    await target.stop()
  }
}

function cpuFigure(load: Load, name: string): string {
  return `${load.name}: ${name}, µs of CPU a message`
}

if (import.meta.main) await bench()
