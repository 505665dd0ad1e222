import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts } from '#runtime/free-ports.ts'
import { kafkaClassPath } from './kafka-jars.ts'
import { accepts, loopbackPlace, type ServerPlace, ServerProcess } from './server-process.ts'

export interface KafkaForTests {
  /** `host:port` of all brokers, separated by commas. */
  readonly bootstrap: string
  readonly brokers: readonly string[]
  /** `host:port` of the first broker's further listener of this name. */
  listener(name: string): string
  /** Stops a broker in order; it can be started again. */
  stopBroker(index: number): Promise<void>
  /** Kills a broker (SIGKILL). */
  killBroker(index: number): Promise<void>
  /** Freezes a broker (SIGSTOP) or lets it go on. */
  pauseBroker(index: number, paused: boolean): void
  /** Process id of a broker. */
  pidOf(index: number): number
  /** Starts a stopped or killed broker again on the same data and port. */
  startBroker(index: number): Promise<void>
  /** Stops everything and removes its data. */
  stop(): Promise<void>
}

/** Beside the plain one, over which brokers speak with each other. */
export interface ListenerForTests {
  /** In lower case, as Kafka's settings of a listener have it. */
  readonly name: string
  readonly protocol: 'SSL' | 'SASL_SSL' | 'SASL_PLAINTEXT'
  /** Settings of this listener alone. */
  readonly settings: Readonly<Record<string, string>>
}

export interface KafkaOptions {
  readonly brokers?: number
  /** Of every broker. */
  readonly settings?: Readonly<Record<string, string>>
  readonly listeners?: readonly ListenerForTests[]
  /** Further arguments for formatting the data folder. */
  readonly format?: readonly string[]
  /** Where each broker runs; left out: here, on loopback. */
  readonly places?: readonly ServerPlace[]
}

/** Of several brokers at once on a busy machine. */
const readyMsMax = 300_000

const heap = ['-Xms128m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

/** Starts a real Apache Kafka (KRaft; each node is broker and controller) on free loopback ports with an empty data folder. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaForTests> {
  const { brokers: count = 1, settings = {}, listeners = [], format = [], places = [] } = options
  const classPath = await kafkaClassPath()
  const folder = mkdtempSync(join(tmpdir(), 'penstock-kafka-'))
  const nodes = await nodesOf(count, listeners, places, folder)
  const java = (mainClass: string, ...args: string[]) => ['java', ...heap, '-cp', classPath, mainClass, ...args]

  const formatted = async (node: Node): Promise<void> => {
    mkdirSync(node.data)
    writeFileSync(node.file, propertiesText({ ...nodeSettings(node, nodes), ...settings }))
    const [program = '', ...args] = java(
      'kafka.tools.StorageTool',
      'format',
      '-t',
      clusterId,
      '-c',
      node.file,
      ...format,
    )
    await promisify(execFile)(program, args)
  }
  const start = async (node: Node): Promise<void> => {
    const server = new ServerProcess(`Kafka node ${node.index}`, [
      ...node.place.through,
      ...java('kafka.Kafka', node.file),
    ])
    node.process = server
    await server.until(() => accepts(node.port, node.place.address), readyMsMax)
  }
  const stop = async (): Promise<void> => {
    // All at once and hard: a controller without its quorum never ends in order, and the data is thrown away.
    await Promise.all(nodes.map(({ process }) => process?.stop('SIGKILL')))
    rmSync(folder, { recursive: true, force: true })
  }

  try {
    await Promise.all(nodes.map(formatted))
    await Promise.all(nodes.map(start))
  } catch (error) {
    await stop()
    throw error
  }
  return kafkaOf(nodes, start, stop)
}

function kafkaOf(
  nodes: readonly Node[],
  start: (node: Node) => Promise<void>,
  stop: () => Promise<void>,
): KafkaForTests {
  const nodeAt = (index: number): Node => {
    const node = nodes[index]
    if (node === undefined) throw new Error(`there is no broker ${index}`)
    return node
  }
  const brokers = nodes.map(({ port, place }) => `${place.address}:${port}`)
  return {
    bootstrap: brokers.join(','),
    brokers,
    listener: (name) => `127.0.0.1:${nodeAt(0).listeners.find((listener) => listener.name === name)?.port}`,
    stopBroker: async (index) => void (await nodeAt(index).process?.stop()),
    killBroker: async (index) => void (await nodeAt(index).process?.stop('SIGKILL')),
    pauseBroker: (index, paused) => nodeAt(index).process?.signal(paused ? 'SIGSTOP' : 'SIGCONT'),
    pidOf: (index) => nodeAt(index).process?.pid ?? 0,
    startBroker: (index) => start(nodeAt(index)),
    stop,
  }
}

const clusterId = Buffer.from('penstock-testbed').toString('base64url')

interface Node {
  readonly index: number
  readonly place: ServerPlace
  readonly port: number
  readonly controllerPort: number
  readonly listeners: readonly (ListenerForTests & { readonly port: number })[]
  /** Its settings. */
  readonly file: string
  readonly data: string
  process: ServerProcess | undefined
}

async function nodesOf(
  count: number,
  listeners: readonly ListenerForTests[],
  places: readonly ServerPlace[],
  folder: string,
): Promise<Node[]> {
  const ports = await freePorts(count * (2 + listeners.length))
  return Array.from({ length: count }, (_, index) => ({
    index,
    place: places[index] ?? loopbackPlace,
    port: ports.pop() ?? 0,
    controllerPort: ports.pop() ?? 0,
    listeners: listeners.map((listener) => ({ ...listener, port: ports.pop() ?? 0 })),
    file: join(folder, `node-${index}.properties`),
    data: join(folder, `data-${index}`),
    process: undefined,
  }))
}

function nodeSettings(
  { index, place: { address }, port, controllerPort, listeners, data }: Node,
  nodes: readonly Node[],
): Record<string, string> {
  const replicas = String(Math.min(3, nodes.length))
  const voters = nodes.map((node) => `${node.index + 1}@${node.place.address}:${node.controllerPort}`).join(',')
  const addresses = [
    `PLAINTEXT://${address}:${port}`,
    ...listeners.map((listener) => `${listener.name.toUpperCase()}://${address}:${listener.port}`),
  ]
  const protocols = listeners.map(({ name, protocol }) => `,${name.toUpperCase()}:${protocol}`)
  const ofListeners = listeners.flatMap((listener) =>
    Object.entries(listener.settings).map(([name, value]) => [`listener.name.${listener.name}.${name}`, value]),
  )
  return {
    'process.roles': 'broker,controller',
    'node.id': String(index + 1),
    'controller.quorum.voters': voters,
    listeners: `${addresses.join(',')},CONTROLLER://${address}:${controllerPort}`,
    'advertised.listeners': addresses.join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT${protocols.join('')}`,
    ...Object.fromEntries(ofListeners),
    'log.dirs': data,
    'offsets.topic.replication.factor': replicas,
    'offsets.topic.num.partitions': '4',
    // Positions too: confirmed by one broker alone they would wait for it if it is killed next.
    'min.insync.replicas': String(Math.floor(Number(replicas) / 2) + 1),
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': replicas,
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '500',
    'auto.create.topics.enable': 'false',
    'log.segment.delete.delay.ms': '1000',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'log.cleaner.dedupe.buffer.size': '2000000',
  }
}

function propertiesText(properties: Readonly<Record<string, string>>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
