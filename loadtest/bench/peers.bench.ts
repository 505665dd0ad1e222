/**
 * Peers side by side: the edge against brokers, one core each, and the whole pipeline against the usual Node one; the same generator and
 * scenarios, each target in turn, in one run. With `--kafka host:port` also what needs a Kafka. A peer that cannot be had is named.
 */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { startBroker } from '#infra/testbed/broker.ts'
import { findMosquitto } from '#infra/testbed/mosquitto.ts'
import { peerBrokers } from '#infra/testbed/peer-brokers.ts'
import type { Target } from '#infra/testbed/target.ts'
import { pinnedTo } from '#infra/testbed/target.ts'
import { processesOfTarget } from '#loadtest/observe/target-processes.ts'
import { hasTexts, isRecord, jsonOrNothing } from '#loadtest/options/json-shape.ts'
import { type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { aedes, sink, unboundedMosquitto } from '#loadtest/peers/brokers.ts'
import { startUsualPipeline } from '#loadtest/peers/usual-pipeline.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { cpuSecondsOf, residentBytesOf } from '#runtime/processes.ts'
import { type BenchArguments, BenchRecord, benchArguments } from './bench-record.ts'
import { type MeasuredOptions, startMeasured } from './measured-penstock.ts'
import { type Comparison, comparisonTable, losses, lossesTable, type PeerTarget, row } from './peer-tables.ts'

/** A broker alone has no rows. */
interface MeasuredTarget extends Target {
  readonly clickhouseUrl?: string
  readonly httpUrl?: string
}

interface Contender extends PeerTarget {
  readonly settings: string
  /** Not measured: code is compiled, files and heaps grow. */
  readonly warmUpSeconds: number
  /** Where its rows are; undefined: it makes none. */
  readonly table?: string
  /** Address of the Kafka it is on. */
  readonly kafka?: string
  /** Where devices connect; left out: over MQTT. */
  urlOf?(target: MeasuredTarget): string
  start(options: MeasuredOptions): Promise<MeasuredTarget>
}

interface Absent {
  readonly name: string
  readonly reason: string
}

interface Scenario {
  readonly name: string
  readonly load: Partial<LoadOptions>
  readonly figures: readonly FigureKey[]
}

/** CPUs as `taskset -c` takes them; undefined: any. */
interface Pinning {
  readonly target: string | undefined
  readonly generator: string | undefined
}

interface Group extends Pinning {
  readonly scenarios: readonly Scenario[]
  readonly contenders: readonly Contender[]
}

const figures = {
  perCore: { name: 'messages a CPU second', better: 'more' },
  perSecond: { name: 'messages/s', better: 'more' },
  cpuUs: { name: 'µs of CPU a message', better: 'less' },
  acknowledged: { name: 'acknowledged ÷ offered when sending ended', better: 'more' },
  pubackMsP50: { name: 'PUBACK p50, ms', better: 'less' },
  pubackMsP99: { name: 'PUBACK p99, ms', better: 'less' },
  residentMb: { name: 'RSS, MB', better: 'less' },
  connectedPerSecond: { name: 'connections/s', better: 'more' },
  idleKb: { name: 'KB an idle connection', better: 'less' },
  rowsPerSecond: { name: 'rows/s until the last is stored', better: 'more' },
  rowMsP50: { name: 'queryable row p50, ms', better: 'less' },
  rowMsP99: { name: 'queryable row p99, ms', better: 'less' },
  faults: { name: 'messages lost or repeated', better: 'less' },
} as const
type FigureKey = keyof typeof figures
/** What was measured; what a broker cannot show is left out. */
type Figures = Partial<Record<FigureKey, number | undefined>>

const onOneCore: Pinning = { target: '0', generator: '1' }
const onAllCores: Pinning = { target: undefined, generator: undefined }
const warmUpSeconds = 2
const idleConnections = 10_000
const idleSeconds = 2

const saturating = { rate: 'saturate' } as const
/** Sockets hold much of QoS 0, and a pipeline's queue what it could not store yet. */
const drainMsMax = 120_000
const acknowledgedFigures = ['perCore', 'perSecond', 'pubackMsP50', 'pubackMsP99', 'residentMb'] as const
const edgeScenarios: readonly Scenario[] = [
  {
    name: 'QoS 0, saturating',
    load: { ...saturating, drainMsMax, qos: 0 },
    figures: ['perCore', 'perSecond', 'residentMb'],
  },
  { name: 'QoS 1, saturating', load: saturating, figures: acknowledgedFigures },
  ...[256, 1_024, 4_096].map((bodyBytes) => ({
    name: `QoS 1, saturating, ${bodyBytes.toLocaleString('en')}-byte bodies`,
    load: { ...saturating, bodyBytes },
    figures: acknowledgedFigures,
  })),
  {
    name: 'QoS 1, 1,000 connections, 50 messages/s each',
    load: { connections: 1_000, rate: 50_000 },
    figures: ['cpuUs', 'acknowledged', 'pubackMsP50', 'pubackMsP99', 'residentMb'],
  },
  {
    name: `${idleConnections.toLocaleString('en')} idle connections`,
    load: { connections: idleConnections, rate: 0, connectMsMax: 120_000 },
    figures: ['connectedPerSecond', 'idleKb', 'residentMb'],
  },
]

const amqpScenarios: readonly Scenario[] = [
  { name: 'AMQP, saturating', load: saturating, figures: acknowledgedFigures },
  {
    name: 'AMQP, saturating, 1,024-byte bodies',
    load: { ...saturating, bodyBytes: 1_024 },
    figures: acknowledgedFigures,
  },
  {
    name: 'AMQP, 1,000 connections, 10 messages/s each',
    load: { connections: 1_000, rate: 10_000 },
    figures: ['cpuUs', 'acknowledged', 'pubackMsP50', 'pubackMsP99', 'residentMb'],
  },
]

const pipelineFigures = ['rowsPerSecond', 'perCore', 'pubackMsP50', 'pubackMsP99', 'residentMb', 'faults'] as const
const pipelineScenarios: readonly Scenario[] = [
  { name: 'Pipeline, QoS 1, saturating', load: { ...saturating, drainMsMax }, figures: pipelineFigures },
  {
    name: 'Pipeline, QoS 1, saturating, 1,024-byte bodies',
    load: { ...saturating, drainMsMax, bodyBytes: 1_024 },
    figures: pipelineFigures,
  },
  {
    name: 'Pipeline, QoS 1, 1,000 connections, 2 messages/s each',
    load: { connections: 1_000, rate: 2_000 },
    figures: ['cpuUs', 'pubackMsP50', 'pubackMsP99', 'rowMsP50', 'rowMsP99', 'residentMb', 'faults'],
  },
]

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 5 })
  const record = new BenchRecord('peers', 'Peers side by side')
  const { brokers, absent } = await brokersToRun()
  const groups: readonly Group[] = [
    { ...onOneCore, scenarios: edgeScenarios, contenders: [...edgesOf(args.kafka), ...brokers.filter(isOfMqtt)] },
    {
      ...onOneCore,
      scenarios: amqpScenarios,
      contenders: [edgeOverAmqp, ...brokers.filter((broker) => !isOfMqtt(broker))],
    },
    { ...onAllCores, scenarios: pipelineScenarios, contenders: pipelinesOf(args.kafka) },
  ]
  if (args.kafka === undefined)
    for (const name of ['Penstock edge on Kafka', 'Penstock on Kafka', 'usual pipeline'])
      absent.push({ name, reason: 'no Kafka' })
  await measureAll(groups, args, record)
  const comparisons = groups.flatMap((group) =>
    group.scenarios.map(
      (scenario): Comparison => ({
        scenario: scenario.name,
        conditions: conditionsOf(scenario, group),
        figures: scenario.figures.map((key) => figures[key]),
        targets: group.contenders,
      }),
    ),
  )
  const measuredOf = (...names: [string, string, string]) => record.measured(names.join(', '))
  record.finish(
    lossesTable(losses(comparisons, measuredOf)),
    'A CPU second is of all processes of a target; where it is on Kafka, Kafka’s CPU and memory are counted in, and Kafka runs on any CPU. ' +
      'RSS is the most seen under load; it counts the embedded log’s mapped pages, which the system takes back when it needs them. ' +
      'Nobody subscribes to a broker. In bold the best, in parentheses least … most.',
    args,
    [targetsTable(groups, absent), ...comparisons.map((each) => comparisonTable(each, measuredOf))].join('\n\n'),
  )
}

/** Adds every figure as `scenario, target, figure`, and what a reader should know of a measurement. */
async function measureAll(groups: readonly Group[], args: BenchArguments, record: BenchRecord): Promise<void> {
  /** Where each remark applies: many are of several targets. */
  const remarks = new Map<string, Set<string>>()
  for (let round = 0; round < args.rounds; round++)
    for (const group of groups)
      for (const scenario of group.scenarios)
        for (const contender of group.contenders) {
          const place = `${scenario.name}, ${contender.name}`
          const remark = (text: string) => remarks.set(text, (remarks.get(text) ?? new Set()).add(place))
          const load = { ...loadDefaults, ...scenario.load, run: `peers${round}`, seconds: args.seconds }
          try {
            const values = await measure(contender, { ...load, cpuList: group.generator }, group, remark)
            for (const key of scenario.figures) {
              const value = values[key]
              if (value !== undefined && !Number.isNaN(value)) record.add(`${place}, ${figures[key].name}`, value)
            }
          } catch (error) {
            remark(`Not measured (${explained(error)})`)
          }
        }
  for (const [text, places] of remarks) record.note(`${text}: ${[...places].join('; ')}.`)
}

function edgesOf(kafka: string | undefined): Contender[] {
  const start = (environment: Readonly<Record<string, string>>) => (options: MeasuredOptions) =>
    startMeasured('edge', { ...options, environment })
  return [
    {
      name: 'Penstock edge',
      keeps: 'durable on the log',
      side: 'ours',
      settings: 'its defaults; PUBACK after a synced commit of the embedded log (LMDB)',
      warmUpSeconds,
      start: start({}),
    },
    ...onKafka(kafka, (bootstrap) => ({
      name: 'Penstock edge on Kafka',
      keeps: 'durable on the log',
      side: 'ours',
      settings: `its defaults; PUBACK after ${kafkaSettings}`,
      warmUpSeconds,
      kafka: bootstrap,
      start: (options) => start(kafkaEnvironment(bootstrap))(options),
    })),
  ]
}

/** Without TLS, AMQP is served over WebSocket alone. */
const edgeOverAmqp: Contender = {
  name: 'Penstock edge over AMQP',
  keeps: 'durable on the log',
  side: 'ours',
  settings: 'its defaults; AMQP over WebSocket, accepted after a synced commit of the embedded log (LMDB)',
  warmUpSeconds,
  urlOf: ({ httpUrl = '' }) => httpUrl.replace('http:', 'amqp+ws:'),
  start: (options) => startMeasured('edge', options),
}

const isOfMqtt = ({ urlOf }: Contender): boolean => urlOf === undefined

function pipelinesOf(kafka: string | undefined): Contender[] {
  const penstock = {
    keeps: 'a queryable row, exactly once',
    side: 'ours',
    warmUpSeconds,
    table: 'penstock.telemetry',
  } as const
  return [
    {
      ...penstock,
      name: 'Penstock embedded',
      settings: 'its defaults; embedded log (LMDB) and embedded ClickHouse engine',
      start: (options) => startMeasured('start', options),
    },
    ...onKafka(kafka, (bootstrap) => ({
      ...penstock,
      name: 'Penstock on Kafka',
      settings: `its defaults; ${kafkaSettings}, embedded ClickHouse engine`,
      kafka: bootstrap,
      start: (options) => startMeasured('start', { ...options, environment: kafkaEnvironment(bootstrap) }),
    })),
    ...onKafka(kafka, (bootstrap) => ({
      name: 'usual pipeline',
      keeps: 'a queryable row, at least once',
      side: 'peer',
      settings: `aedes, kafkajs (a record each), JSONEachRow; ${kafkaSettings}, idempotent producer, embedded ClickHouse engine`,
      warmUpSeconds,
      table: 'peer.telemetry',
      kafka: bootstrap,
      start: (options) => startUsualPipeline({ ...options, kafka: bootstrap }),
    })),
  ]
}

const kafkaSettings = 'Kafka 4.1, one broker, acks=all'
let topics = 0

/** Topics of its own for each start. */
function kafkaEnvironment(kafka: string): Readonly<Record<string, string>> {
  return { PENSTOCK_KAFKA_BROKERS: kafka, PENSTOCK_TOPIC_PREFIX: `peers-${Date.now().toString(36)}-${topics++}` }
}

function onKafka(kafka: string | undefined, contender: (bootstrap: string) => Contender): Contender[] {
  return kafka === undefined ? [] : [contender(kafka)]
}

/** Brokers that could be had, and why the others could not. */
async function brokersToRun(): Promise<{ brokers: Contender[]; absent: Absent[] }> {
  const here = { scheme: 'mqtt', keeps: 'stores nothing', side: 'peer', warmUpSeconds, fetch: async () => {} } as const
  const candidates = [
    {
      ...here,
      ...sink,
      keeps: 'stepped over: what the generator can do',
      side: 'generator',
      settings: '`loadtest/peers/ack-sink.ts`',
      missing: () => undefined,
    },
    {
      ...here,
      ...unboundedMosquitto,
      settings: 'max_inflight_messages 0, max_queued_messages 0, nothing persisted',
      missing: () => (findMosquitto('mosquitto') === undefined ? 'no mosquitto' : undefined),
    },
    { ...here, ...aedes, settings: `${aedesVersion()}, concurrency 10,000`, missing: () => undefined },
    ...peerBrokers().map((broker) => ({ ...here, ...broker })),
  ] as const
  const brokers: Contender[] = []
  const absent: Absent[] = []
  for (const candidate of candidates) {
    const reason = candidate.missing() ?? (await candidate.fetch().then(() => undefined, explained))
    if (reason !== undefined) absent.push({ name: candidate.name, reason })
    else
      brokers.push({
        ...candidate,
        start: (options) => startBroker(candidate, pinnedTo(options.cpuList)),
        ...(candidate.scheme === 'amqp' ? { urlOf: ({ mqttUrl }) => mqttUrl.replace('mqtt:', 'amqp:') } : {}),
      })
  }
  return { brokers, absent }
}

/** Starts a target, warms it up, measures it and stops it. */
async function measure(
  contender: Contender,
  options: LoadOptions,
  pinning: Pinning,
  remark: (text: string) => void,
): Promise<Figures> {
  const target = await contender.start({ cpuList: pinning.target })
  try {
    const load = { ...options, url: contender.urlOf?.(target) ?? target.mqttUrl, ...rowsOf(contender, target) }
    const kafkaPids = contender.kafka ? processesOfTarget([`mqtt://${contender.kafka}`]).map(({ pid }) => pid) : []
    const sum = (own: number, of: (pid: number) => number) => kafkaPids.reduce((total, pid) => total + of(pid), own)
    const cpu = () => sum(target.cpuSeconds(), cpuSecondsOf)
    const resident = () => sum(target.residentBytes(), residentBytesOf)
    if (load.rate === 0) return await measureIdle(resident, load)
    await runLoad({ ...load, run: 'warmup', seconds: contender.warmUpSeconds })
    const before = cpu()
    let [rowsSeen, cpuAtLastRow, residentBytes] = [0, 0, 0]
    const result = await runLoad(load, {
      onProgress: () => {
        residentBytes = Math.max(residentBytes, resident())
      },
      // The checker's own queries are not the pipeline's cost.
      onRows: (rows) => {
        if (rows > rowsSeen) [rowsSeen, cpuAtLastRow] = [rows, cpu()]
      },
    })
    const cpuSeconds = (cpuAtLastRow || cpu()) - before
    const { counts, consumedMs, latency, connections, validity, reconciliation } = result
    const messages = options.qos === 1 ? counts.atEnd.settled : counts.atEnd.sent
    if (connections.lost > 0)
      remark(`${connections.lost} connections lost (${connections.lastFault || 'closed by the target'})`)
    if (!validity.isValid)
      remark('The generator was the limit (what is a second is the least, what is a CPU second holds)')
    if (messages < counts.atEnd.sent) remark('Not all messages were acknowledged')
    return {
      perCore: messages / cpuSeconds,
      perSecond: messages / (consumedMs / 1000),
      cpuUs: (cpuSeconds * 1e6) / messages,
      acknowledged: counts.atStop.settled / counts.atStop.offered,
      pubackMsP50: latency.acknowledged.summary.p50Ms,
      pubackMsP99: latency.acknowledged.summary.p99Ms,
      residentMb: residentBytes / 2 ** 20,
      rowsPerSecond: result.storedPerSecond,
      rowMsP50: latency.visible?.summary.p50Ms,
      rowMsP99: latency.visible?.summary.p99Ms,
      faults: reconciliation && reconciliation.lost + reconciliation.repeated,
    }
  } finally {
    await target.stop()
  }
}

/** Memory of the first connections, before anything has been freed; their rate once the code has been run. */
async function measureIdle(resident: () => number, load: LoadOptions): Promise<Figures> {
  const before = resident()
  let held = before
  await runLoad(
    { ...load, run: 'idle', seconds: idleSeconds },
    {
      onProgress: ({ open }) => {
        if (open === load.connections) held = resident()
      },
    },
  )
  const { connectMs } = await runLoad({ ...load, run: 'storm', seconds: idleSeconds })
  return {
    connectedPerSecond: load.connections / (connectMs / 1000),
    idleKb: (held - before) / load.connections / 1024,
    residentMb: held / 2 ** 20,
  }
}

function rowsOf({ table }: Contender, { clickhouseUrl }: MeasuredTarget): Partial<LoadOptions> {
  return table === undefined ? {} : { clickhouse: clickhouseUrl, table }
}

function conditionsOf({ load }: Scenario, { target, generator }: Pinning): string {
  const { connections, bodyBytes, window } = { ...loadDefaults, ...load }
  const where =
    target === undefined
      ? 'Everything, the generator too, on all CPUs.'
      : `Target on CPU ${target}, generator on CPU ${generator}.`
  const count = `${connections.toLocaleString('en')} connections`
  if (load.rate === 0)
    return `${count} held for ${idleSeconds} s, no messages; connections/s when they come again (near the sink’s the generator was the limit). ${where}`
  return `${count}, ${bodyBytes.toLocaleString('en')}-byte JSON, window ${window.toLocaleString('en')}. ${where}`
}

function targetsTable(groups: readonly Group[], absent: readonly Absent[]): string {
  return [
    '### Targets\n',
    row(['target', 'what it does with a message', 'settings']),
    row(['---', '---', '---']),
    ...groups.flatMap(({ contenders }) => contenders).map(({ name, keeps, settings }) => row([name, keeps, settings])),
    ...absent.map(({ name, reason }) => row([name, `not run: ${reason}`, ''])),
  ].join('\n')
}

function aedesVersion(): string {
  const project = jsonOrNothing(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  const tools = isRecord(project) ? project.devDependencies : undefined
  return hasTexts(tools, 'aedes') ? String(tools.aedes) : 'unknown'
}

/** In full on the terminal, in a line for the record. */
function explained(error: unknown): string {
  process.stderr.write(`${inspect(error)}\n`)
  return firstLine(error)
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n', 1)[0] ?? ''
}

if (import.meta.main) await bench()
