/** A cluster of machines: brokers, a store, a warehouse, and roles of Penstock, each in a network namespace of its own. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RestAccess } from '#control/client/client.ts'
import { type Machine, Network, networkMissing } from '#infra/testbed/network.ts'
import type { PenstockSettings, Role } from '#infra/testbed/penstock.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { type ServerCertificate, writeServerCertificate } from '#infra/testbed/server-certificate.ts'
import { ServerProcess } from '#infra/testbed/server-process.ts'
import type { AgentAddress } from '#loadtest/agents/agent-socket.ts'
import { processTreeOf } from '#runtime/processes.ts'
import { PenstockError } from '#schemas/errors.ts'
import { Cluster, type ClusterProcess } from './cluster.ts'
import { openBrokers, startWarehouse } from './installation.ts'
import { kafkaSettings, type Stage } from './scenario.ts'

const counts = {
  balancer: 1,
  postgres: 1,
  warehouse: 1,
  kafka: 3,
  control: 2,
  worker: 4,
  router: 2,
  edge: 4,
  generator: 2,
} as const
export type MachineKind = keyof typeof counts

/** Names of the machines of a kind. */
export function machinesOf(kind: MachineKind): readonly string[] {
  return Array.from({ length: counts[kind] }, (_, index) => `${kind}-${index + 1}`)
}

export function kindOf(name: string): string {
  return name.replace(/-\d+$/, '')
}

/** In the order in which they start. */
const roles = ['control', 'worker', 'router', 'edge'] as const satisfies readonly (Role & MachineKind)[]

/** The same on every machine. */
const ports = { http: 8080, https: 8443, mqtt: 1883, mqtts: 8883, clickhouse: 8123, agent: 7077 } as const

/** Many processes start at once, perhaps on few CPUs. */
const readyMsMax = 600_000

/** What runs on a machine. */
interface MachineServer {
  pid(): number
  kill(): Promise<unknown>
  /** After it was killed. */
  start(): Promise<unknown>
}

export interface MachineTargets {
  readonly mqttUrl: string
  readonly clickhouseUrl: string
  readonly access: RestAccess
  readonly agents: readonly AgentAddress[]
  readonly authorityFile: string
}

export class Machines {
  readonly network: Network
  readonly cluster: Cluster
  readonly targets: MachineTargets
  readonly #servers: ReadonlyMap<string, MachineServer>

  private constructor(
    network: Network,
    cluster: Cluster,
    targets: MachineTargets,
    servers: ReadonlyMap<string, MachineServer>,
  ) {
    this.network = network
    this.cluster = cluster
    this.targets = targets
    this.#servers = servers
  }

  /** @throws LOADTEST_SCENARIO_IMPOSSIBLE where there are no namespaces, LOADTEST_TARGET_UNREACHABLE */
  static async open(stage: Stage): Promise<Machines> {
    const missing = networkMissing()
    if (missing !== undefined) throw new PenstockError('LOADTEST_SCENARIO_IMPOSSIBLE', missing)
    const names = (Object.keys(counts) as MachineKind[]).flatMap(machinesOf)
    const network = await Network.open(names, stage.options.seed)
    stage.own(() => network.close())
    const at = (name: string): Machine => network.machine(name)
    const addresses = names.map((name) => at(name).address)
    const certificate = writeServerCertificate(stage.dataDir, addresses)
    const authorityFile = join(stage.dataDir, 'authority.pem')
    writeFileSync(authorityFile, certificate.ca)

    const servers = new Map<string, MachineServer>()
    const engines = await startEngines(stage, at, servers)
    const balancer = at('balancer-1').address
    const ownerKey = randomBytes(32).toString('base64')
    const cluster = new Cluster(stage, {
      ...engines,
      PENSTOCK_IDENTITIES: 'required',
      PENSTOCK_OWNER_KEY: ownerKey,
      PENSTOCK_CONTROL_URL: `https://${balancer}:${ports.https}`,
      PENSTOCK_CONTROL_CA: authorityFile,
    })
    await startBalancerOn(stage, at)
    for (const role of roles)
      await Promise.all(
        machinesOf(role).map((name) => startRole(cluster, processOn(at(name), role, certificate), servers)),
      )
    const targets = {
      mqttUrl: `mqtts://${balancer}:${ports.mqtts}`,
      clickhouseUrl: clickhouseUrlOf(engines),
      access: { url: `https://${balancer}:${ports.https}`, authority: certificate.ca, hostName: 'localhost', ownerKey },
      agents: await startAgents(stage, at),
      authorityFile,
    }
    return new Machines(network, cluster, targets, servers)
  }

  /** SIGSTOP of all that runs on a machine, or SIGCONT. */
  pause(name: string, isPaused: boolean): void {
    for (const pid of processTreeOf(this.#of(name).pid())) {
      try {
        process.kill(pid, isPaused ? 'SIGSTOP' : 'SIGCONT')
      } catch {
        // It has just ended.
      }
    }
  }

  /** kill -9 of what runs on a machine. */
  async kill(name: string): Promise<void> {
    await this.#of(name).kill()
  }

  /** Starts what was killed. */
  async start(name: string): Promise<void> {
    await this.#of(name).start()
  }

  #of(name: string): MachineServer {
    const server = this.#servers.get(name)
    if (server === undefined) throw new Error(`nothing that dies runs on ${name}`)
    return server
  }
}

type At = (name: string) => Machine

/** Kafka, PostgreSQL and a warehouse. @returns where they are, as settings */
async function startEngines(stage: Stage, at: At, servers: Map<string, MachineServer>): Promise<PenstockSettings> {
  const brokers = machinesOf('kafka')
  const kafka = await openBrokers(stage, brokers.length, {}, brokers.map(at))
  for (const [index, name] of brokers.entries())
    servers.set(name, {
      pid: () => kafka.pidOf(index),
      kill: () => kafka.killBroker(index),
      start: () => kafka.startBroker(index),
    })
  const postgres = await startPostgres({ place: at('postgres-1') })
  stage.own(() => postgres.stop())
  servers.set('postgres-1', postgres)

  const { address, through } = at('warehouse-1')
  const passwords = {
    PENSTOCK_CLICKHOUSE_PASSWORD: randomBytes(12).toString('hex'),
    // Without one the engine keeps to loopback.
    PENSTOCK_CLICKHOUSE_READONLY_PASSWORD: randomBytes(12).toString('hex'),
  }
  const own = {
    PENSTOCK_DATA_DIR: join(stage.dataDir, 'warehouse'),
    PENSTOCK_BIND: address,
    PENSTOCK_CLICKHOUSE_PORT: String(ports.clickhouse),
  }
  const warehouse = await startWarehouse({ ...stage.settings, ...passwords, ...own }, through)
  stage.own(() => warehouse.stop())
  servers.set('warehouse-1', {
    pid: () => warehouse.pid,
    kill: () => warehouse.kill(),
    start: () => warehouse.start(),
  })
  return {
    ...kafkaSettings(kafka.bootstrap),
    ...passwords,
    PENSTOCK_KAFKA_REPLICAS: String(brokers.length),
    PENSTOCK_PARTITIONS: '4',
    PENSTOCK_POSTGRES_URL: postgres.url,
    PENSTOCK_CLICKHOUSE_URL: `http://${address}:${ports.clickhouse}`,
  }
}

/** With the password, for whoever counts rows. */
function clickhouseUrlOf({
  PENSTOCK_CLICKHOUSE_URL = '',
  PENSTOCK_CLICKHOUSE_PASSWORD = '',
}: PenstockSettings): string {
  const url = new URL(PENSTOCK_CLICKHOUSE_URL)
  url.username = 'default'
  url.password = PENSTOCK_CLICKHOUSE_PASSWORD
  return url.href
}

async function startRole(
  cluster: Cluster,
  process: ClusterProcess,
  servers: Map<string, MachineServer>,
): Promise<void> {
  const { name } = process
  await cluster.start(process)
  servers.set(name, {
    pid: () => cluster.pidOf(name),
    kill: () => cluster.kill(name),
    start: () => cluster.start(process),
  })
}

function processOn({ name, address, through }: Machine, role: Role, certificate: ServerCertificate): ClusterProcess {
  const own = {
    PENSTOCK_HTTP_PORT: String(ports.http),
    PENSTOCK_HTTPS_PORT: String(ports.https),
    PENSTOCK_MQTT_PORT: String(ports.mqtt),
    PENSTOCK_MQTTS_PORT: String(ports.mqtts),
  }
  // Others come to these; workers and routers only go to others.
  const isServer = role === 'edge' || role === 'control'
  const served = {
    PENSTOCK_BIND: address,
    PENSTOCK_TLS_CERT: certificate.certFile,
    PENSTOCK_TLS_KEY: certificate.keyFile,
  }
  return { name, role, through, settings: isServer ? { ...own, ...served } : own }
}

/** The command line of a script of the project. */
function script(path: string): readonly string[] {
  return [process.execPath, join(import.meta.dirname, '../../infra/run.js'), path]
}

/** Before the control roles and the edges. */
async function startBalancerOn(stage: Stage, at: At): Promise<void> {
  const { address, through } = at('balancer-1')
  const line = (kind: MachineKind, port: number): string => {
    const targets = machinesOf(kind).map((name) => `${at(name).address}:${port}`)
    return `${address}:${port}=${targets.join(',')}`
  }
  const lines = [line('control', ports.https), line('edge', ports.mqtts)]
  const balancer = new ServerProcess('balancer', [...through, ...script('infra/testbed/balancer.ts'), ...lines])
  stage.own(() => balancer.stop('SIGKILL'))
  await balancer.untilSaid('balancing', readyMsMax)
}

async function startAgents(stage: Stage, at: At): Promise<readonly AgentAddress[]> {
  const secret = randomBytes(32).toString('base64')
  const file = join(stage.dataDir, 'agents-secret')
  writeFileSync(file, secret, { mode: 0o600 })
  return Promise.all(
    machinesOf('generator').map(async (name) => {
      const { address, through } = at(name)
      const args = ['--agent', `${address}:${ports.agent}`, '--agent-secret-file', file]
      const agent = new ServerProcess(name, [...through, ...script('loadtest/cli/loadtest.ts'), ...args])
      stage.own(() => agent.stop())
      await agent.untilSaid('agent on', readyMsMax)
      return { host: address, port: ports.agent, secret }
    }),
  )
}
