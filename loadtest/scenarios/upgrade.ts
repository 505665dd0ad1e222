/**
 * A previous version beside this one: all roles run in the previous version, and are replaced by this one's process by process in the
 * documented order, under load; then the way back, as far as the store allows it.
 *
 *   control 1, control 2 ── workers ── routers ── edges        upgrade
 *   edges ── routers ── workers ── control                     downgrade, within one version of the store's schema
 */
import { randomBytes } from 'node:crypto'
import type { RestAccess } from '#control/client/client.ts'
import { startBalancer } from '#infra/testbed/balancer.ts'
import type { PenstockSettings, Role } from '#infra/testbed/penstock.ts'
import { startPostgres } from '#infra/testbed/postgres.ts'
import { freePort, freePorts } from '#runtime/free-ports.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { Cluster, type ClusterProcess } from './cluster.ts'
import { openBrokers, previousTree, startWarehouse } from './installation.ts'
import type { LoadView } from './load-view.ts'
import { kafkaSettings, type Scenario, type Site, type Stage } from './scenario.ts'

export const upgrade: Scenario = {
  name: 'upgrade',
  summary: 'all roles of the version that --previous names are replaced by this one under load, one by one, and back',
  usual: { faults: 16, messages: 800_000, rate: 5_000, connections: 100 },
  small: { faults: 16, messages: 48_000, rate: 1_000, connections: 20 },
  log: 'own Kafka',
  isByHand: true,
  previous: 'needed',
  prepare,
}

/** The documented order of an upgrade. */
const order: readonly Role[] = ['control', 'worker', 'router', 'edge']
const processesOfRole = 2
const host = '127.0.0.1'

async function prepare(stage: Stage): Promise<Site> {
  const previous = await previousTree(stage.options.previous ?? 'HEAD')
  const ownerKey = randomBytes(32).toString('base64')
  const kafka = await openBrokers(stage, 1, {})
  const postgres = await startPostgres()
  stage.own(() => postgres.stop())
  const shared = {
    ...kafkaSettings(kafka.bootstrap),
    PENSTOCK_POSTGRES_URL: postgres.url,
    PENSTOCK_CLICKHOUSE_URL: `http://${host}:${await freePort()}`,
    PENSTOCK_IDENTITIES: 'required',
    PENSTOCK_OWNER_KEY: ownerKey,
  }
  const clickhousePort = new URL(shared.PENSTOCK_CLICKHOUSE_URL).port
  const warehouse = await startWarehouse({ ...stage.settings, PENSTOCK_CLICKHOUSE_PORT: clickhousePort })
  stage.own(() => warehouse.stop())
  const processes = await processesOf()
  const controlPort = await balanced(stage, processes, 'control', 'PENSTOCK_HTTP_PORT')
  const mqttPort = await balanced(stage, processes, 'edge', 'PENSTOCK_MQTT_PORT')
  const registry: RestAccess = { url: `http://${host}:${controlPort}`, hostName: 'localhost', ownerKey }

  const cluster = new Cluster(stage, { ...shared, PENSTOCK_CONTROL_URL: registry.url })
  for (const process of processes) await cluster.start(process, previous)
  await cluster.route(registry)
  return {
    mqttUrl: `mqtt://${host}:${mqttPort}`,
    clickhouseUrl: warehouse.clickhouseUrl,
    registry,
    inject: (load) => upgradeAndBack(stage, cluster, processes, previous, load),
    faultOf: () => cluster.endpointFault(),
  }
}

async function processesOf(): Promise<readonly ClusterProcess[]> {
  const processes: ClusterProcess[] = []
  for (const role of order)
    for (let number = 1; number <= processesOfRole; number++) {
      const [mqtt, http] = await freePorts(2)
      const settings = { PENSTOCK_MQTT_PORT: String(mqtt), PENSTOCK_HTTP_PORT: String(http) }
      processes.push({ name: `${role}-${number}`, role, settings })
    }
  return processes
}

/** @returns the port at which one of a role's processes answers */
async function balanced(
  stage: Stage,
  processes: readonly ClusterProcess[],
  role: Role,
  port: keyof PenstockSettings,
): Promise<number> {
  const own = processes.filter((process) => process.role === role)
  const at = { host, port: await freePort() }
  const balancer = await startBalancer(
    at,
    own.map(({ settings }) => ({ host, port: Number(settings[port]) })),
  )
  stage.own(() => balancer.stop())
  return at.port
}

async function upgradeAndBack(
  stage: Stage,
  cluster: Cluster,
  processes: readonly ClusterProcess[],
  previousRoot: string,
  load: LoadView,
): Promise<void> {
  const { faults, messages } = stage.options
  const between = Math.ceil(messages / faults)
  const replace = async (process: ClusterProcess, root?: string): Promise<void> => {
    await load.untilMore(between)
    await timed(stage, `slowest end of a ${process.role}, s`, () => cluster.stop(process.name))
    await timed(stage, `slowest start of a ${process.role}, s`, () => cluster.start(process, root))
  }
  for (const process of processes) {
    await replace(process)
    stage.injected(`upgrade ${process.role}`, load)
  }
  for (const process of processes.toReversed()) {
    try {
      await replace(process, previousRoot)
      stage.injected(`downgrade ${process.role}`, load)
    } catch (error) {
      stage.injected(`downgrade ${process.role} refused: ${refusalIn(error)}`, load)
      await cluster.start(process)
    }
  }
  await load.untilMore(between)
}

/** Keeps the longest time of all that have this name. */
async function timed(stage: Stage, name: string, step: () => Promise<void>): Promise<void> {
  const beganMs = performance.now()
  await step()
  stage.noteLargest(name, (performance.now() - beganMs) / 1_000)
}

/** Codes with which an older version refuses what a newer one has written, or speaks. */
const refusals = /STORE_SCHEMA_UNKNOWN|WAREHOUSE_SCHEMA_UNKNOWN|LINK_VERSION_REFUSED|INTENT_CORRUPT/

/** @throws `error`, if it is no refusal by name */
function refusalIn(error: unknown): string {
  const code = isPenstockError(error) ? refusals.exec(error.message)?.[0] : undefined
  if (code === undefined) throw error
  return code
}
