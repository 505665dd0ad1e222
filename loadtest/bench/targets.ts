/** What benches measure, each started as processes of its own on free ports and given CPUs, and stopped again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, freePorts } from '#runtime/free-ports.ts'
import { commandLineOf, cpuSecondsOf, processTreeOf, residentBytesOf } from '#runtime/processes.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Something that speaks MQTT, ClickHouse's protocol, or both. */
export interface Target {
  readonly name: string
  readonly mqttUrl: string
  readonly clickhouseUrl: string
  /** Penstock's own counters. */
  readonly metricsUrl: string
  readonly pid: number
  /** CPU seconds so far of the target's processes of a Penstock role; of all without it. */
  cpuSeconds(role?: string): number
  /** Resident bytes of all its processes; pages that several of them map count several times. */
  residentBytes(): number
  /** Process id of a role. */
  pidOf(role: string): number
  /** Process ids of a role as they are now. */
  pidsOf(role: string): number[]
  stop(): Promise<void>
}

export interface TargetOptions {
  /** As `taskset -c` takes it; undefined: any CPU. */
  readonly cpuList: string | undefined
  /** Settings on top of ports and the data folder. */
  readonly environment?: Readonly<Record<string, string>>
  /** Of the tree that is started; left out: this one. */
  readonly root?: string
  /** Worker processes, where all roles are started; 1 unless it is named. */
  readonly workers?: number
}

const root = join(import.meta.dirname, '../..')
const startMsMax = 60_000
const stopMsMax = 60_000

/** A Penstock role, or all of them with 'start', with its data in a temporary folder. */
export async function startPenstock(role: 'start' | 'edge' | 'warehouse', options: TargetOptions): Promise<Target> {
  const dataDir = mkdtempSync(join(tmpdir(), 'penstock-bench-'))
  const [mqtt = 0, http = 0, clickhouse = 0] = await freePorts(3)
  const environment = {
    ...withoutSettings(process.env),
    PENSTOCK_DATA_DIR: dataDir,
    PENSTOCK_MQTT_PORT: String(mqtt),
    PENSTOCK_HTTP_PORT: String(http),
    PENSTOCK_CLICKHOUSE_PORT: String(clickhouse),
    PENSTOCK_LOG_LEVEL: 'warn',
    ...options.environment,
  }
  const child = spawnOn(options.cpuList, [process.execPath, 'infra/penstock.ts', role], environment, options.root)
  const isReady = {
    start: () => isHttpReady(http),
    edge: () => isListening(mqtt),
    warehouse: () => isListening(clickhouse),
  }
  const metricsUrl = `http://127.0.0.1:${http}/metrics`
  const target = targetOf(
    `Penstock ${role === 'start' ? '' : role}`.trim(),
    child,
    mqtt,
    clickhouse,
    () => rmSync(dataDir, { recursive: true, force: true }),
    metricsUrl,
  )
  await readyOrStopped(target, child, isReady[role])
  return (options.workers ?? 1) > 1 ? withMoreWorkers(target, options, environment) : target
}

/** The supervisor starts one worker; others join its group by themselves. */
function withMoreWorkers(target: Target, options: TargetOptions, environment: NodeJS.ProcessEnv): Target {
  const settings = { ...environment, PENSTOCK_CLICKHOUSE_URL: target.clickhouseUrl, PENSTOCK_HTTP_PORT: '0' }
  const more = Array.from({ length: (options.workers ?? 1) - 1 }, () =>
    spawnOn(options.cpuList, [process.execPath, 'infra/penstock.ts', 'worker'], settings),
  )
  return {
    ...target,
    pidsOf: (role) => [...target.pidsOf(role), ...(role === 'worker' ? more.flatMap(({ pid }) => pid ?? []) : [])],
    async stop() {
      await Promise.all(more.map(stopProcess))
      await target.stop()
    },
  }
}

/** A broker that listens on one port of loopback. */
export interface Broker {
  readonly name: string
  /** @param folder is empty, the broker's own, and removed at its end */
  command(port: number, folder: string): readonly string[]
}

export async function startBroker({ name, command }: Broker, { cpuList }: TargetOptions): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'broker-bench-'))
  const port = await freePort()
  const child = spawnOn(cpuList, command(port, folder), process.env)
  const target = targetOf(name, child, port, 0, () => rmSync(folder, { recursive: true, force: true }))
  await readyOrStopped(target, child, () => isListening(port))
  return target
}

/** mosquitto without a limit on what is in flight, and with nobody subscribed. */
export const mosquitto: Broker = {
  name: 'mosquitto',
  command(port, folder) {
    const file = join(folder, 'mosquitto.conf')
    writeFileSync(
      file,
      `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\nlog_type none\n`,
    )
    return ['/usr/sbin/mosquitto', '-c', file]
  },
}

/** aedes alone (`peers/aedes-broker.ts`). */
export const aedes: Broker = {
  name: 'aedes',
  command: (port) => [process.execPath, 'loadtest/peers/aedes-broker.ts', String(port)],
}

/** The least a target can do (`ack-sink.ts`). */
export const sink: Broker = {
  name: 'sink',
  command: (port) => [process.execPath, 'loadtest/peers/ack-sink.ts', String(port)],
}

export function startMosquitto(options: TargetOptions): Promise<Target> {
  return startBroker(mosquitto, options)
}

export function startSink(options: TargetOptions): Promise<Target> {
  return startBroker(sink, options)
}

/** The usual Node pipeline (`peers/aedes-pipeline.ts`) on a Kafka that already runs, and on the embedded ClickHouse engine. */
export async function startUsualPipeline(options: TargetOptions & { readonly kafka: string }): Promise<Target> {
  const engine = await startPenstock('warehouse', options)
  const port = await freePort()
  const settings = {
    '--port': String(port),
    '--kafka': options.kafka,
    '--clickhouse': engine.clickhouseUrl,
    '--topic': `peer.${Date.now().toString(36)}`,
  }
  const command = [process.execPath, 'loadtest/peers/aedes-pipeline.ts', ...Object.entries(settings).flat()]
  const child = spawnOn(options.cpuList, command, process.env)
  const pipeline = targetOf('usual pipeline', child, port, 0, () => {})
  const target = {
    ...pipeline,
    clickhouseUrl: engine.clickhouseUrl,
    cpuSeconds: () => pipeline.cpuSeconds() + engine.cpuSeconds(),
    residentBytes: () => pipeline.residentBytes() + engine.residentBytes(),
    async stop() {
      await pipeline.stop()
      await engine.stop()
    },
  }
  await readyOrStopped(target, child, () => isListening(port))
  return target
}

/** A bench measures what it says, not what the shell it runs in is set to. */
function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('PENSTOCK_')))
}

function spawnOn(
  cpuList: string | undefined,
  command: readonly string[],
  environment: NodeJS.ProcessEnv,
  cwd = root,
): ChildProcess {
  const [program, ...args] = cpuList === undefined ? command : ['taskset', '-c', cpuList, ...command]
  // taskset replaces itself, so the process id is the program's own.
  return spawn(program ?? '', args, { cwd, env: environment, stdio: ['ignore', 'ignore', 'inherit'] })
}

function targetOf(
  name: string,
  child: ChildProcess,
  mqtt: number,
  clickhouse: number,
  remove: () => void,
  metricsUrl = '',
): Target {
  const pid = child.pid ?? 0
  const pidsOf = (role: string | undefined) =>
    processTreeOf(pid).filter((each) => role === undefined || commandLineOf(each).includes(`penstock.ts ${role}`))
  return {
    name,
    mqttUrl: `mqtt://127.0.0.1:${mqtt}`,
    clickhouseUrl: `http://127.0.0.1:${clickhouse}`,
    metricsUrl,
    pid,
    cpuSeconds: (role) => pidsOf(role).reduce((sum, each) => sum + cpuSecondsOf(each), 0),
    residentBytes: () => pidsOf(undefined).reduce((sum, each) => sum + residentBytesOf(each), 0),
    pidOf: (role) => pidsOf(role)[0] ?? pid,
    pidsOf,
    async stop() {
      await stopProcess(child)
      remove()
    },
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const kill = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
  clearTimeout(kill)
}

async function readyOrStopped(target: Target, child: ChildProcess, isReady: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + startMsMax
  while (!(await isReady())) {
    const isGone = child.exitCode !== null || child.signalCode !== null || child.pid === undefined
    if (isGone || performance.now() > deadlineMs) {
      await target.stop()
      throw new PenstockError(
        'LOADTEST_TARGET_UNREACHABLE',
        `${target.name} ${isGone ? 'ended' : 'was not ready'} at its start`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const answer = (isOpen: boolean) => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.once('connect', () => answer(true))
    socket.once('error', () => answer(false))
  })
}

/** Says so itself, on the port of the edges. */
async function isHttpReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )
}
