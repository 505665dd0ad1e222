import { parseArgs } from 'node:util'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { bodyBytesMin, sequencesMax } from './frames.ts'
import { packetIds } from './ledger.ts'
import type { RateSegment } from './schedule.ts'
import { type Threshold, thresholdsOf } from './slo.ts'

/** A moment at which a share of all devices loses its connection at once. */
export interface Storm {
  readonly atSeconds: number
  /** Of 0 … 1. */
  readonly share: number
}

/** What one load run does; every field is plain data, so it is also what the generator's processes are sent. */
export interface LoadOptions {
  /** `mqtt://host:port` */
  readonly url: string
  readonly connections: number
  readonly qos: 0 | 1
  readonly protocol: 4 | 5
  readonly bodyBytes: number
  /** Messages a second over all connections, on an absolute schedule; 0 only connects; 'saturate' sends what the target takes. */
  readonly rate: number | 'saturate'
  /** Rates over time, for a run that is not steady; undefined: `rate` for `seconds`. */
  readonly shape: readonly RateSegment[] | undefined
  /** Exponent of Zipf's law for the devices' shares of the rate; 0: all devices alike. */
  readonly skew: number
  readonly storms: readonly Storm[]
  /** On a schedule: messages a device sends one right after the other before the next device's turn. */
  readonly burst: number
  /** Most unacknowledged messages a connection (QoS 1). */
  readonly window: number
  readonly seconds: number
  /** Ends the run earlier, after so many messages over all connections. */
  readonly messages: number | undefined
  readonly processes: number
  readonly seed: number
  /** Names the run in device ids (`load-<run>-000000`); letters and digits. */
  readonly run: string
  /** ClickHouse HTTP address (user and password may be in it); undefined: nothing is reconciled. */
  readonly clickhouse: string | undefined
  readonly table: string
  /** All connections must be accepted by then. */
  readonly connectMsMax: number
  /** After the last message, how long PUBACKs are waited for. */
  readonly drainMsMax: number
  /** Reconciling, how long without a new row until what is missing counts as lost. */
  readonly quietMsMax: number
  /** CPUs the generator's processes are pinned to, as `taskset -c` takes them (Linux); undefined: any. */
  readonly cpuList: string | undefined
  /** Names the workload in a run that mixes several. */
  readonly workload: string
  /** Number of the first device; workloads of one run share its name and differ in this. */
  readonly firstDevice: number
  /** Begins to send so much later than the run. */
  readonly delaySeconds: number
}

export const loadDefaults: LoadOptions = {
  url: 'mqtt://127.0.0.1:1883',
  connections: 100,
  qos: 1,
  protocol: 4,
  bodyBytes: 48,
  rate: 10_000,
  burst: 1,
  window: 1_000,
  seconds: 10,
  messages: undefined,
  processes: 1,
  seed: 1,
  run: '',
  clickhouse: undefined,
  table: 'penstock.telemetry',
  connectMsMax: 30_000,
  drainMsMax: 30_000,
  quietMsMax: 30_000,
  cpuList: undefined,
  shape: undefined,
  skew: 0,
  storms: [],
  workload: 'all',
  firstDevice: 0,
  delaySeconds: 0,
}

/** The rates of a scheduled run over time; undefined when saturating, or only connecting. */
export function segmentsOf({ rate, shape, seconds }: LoadOptions): readonly RateSegment[] | undefined {
  if (shape !== undefined) return shape
  if (rate === 'saturate' || rate === 0) return undefined
  return [{ seconds, from: rate, to: rate }]
}

export const loadHelp = `Usage: npm run loadtest -- [options]

Sends MQTT messages, keeps a ledger of what was sent and acknowledged, and compares it with the rows in ClickHouse.

  --url <mqtt://host:port>  target (${loadDefaults.url})
  --connections <n>         devices, one connection each (${loadDefaults.connections})
  --qos <0|1>               (${loadDefaults.qos})
  --protocol <4|5>          MQTT 3.1.1 or 5 (${loadDefaults.protocol})
  --body-bytes <n>          size of the JSON body, from ${bodyBytesMin} (${loadDefaults.bodyBytes})
  --rate <n|saturate>       messages a second over all connections, sent on an absolute schedule whatever the target does (${loadDefaults.rate});
                            0 only connects; saturate: as many as the target takes
  --burst <n>               messages a device sends together when its turn comes (${loadDefaults.burst})
  --window <n>              unacknowledged messages a connection, QoS 1 (${loadDefaults.window})
  --seconds <n>             how long to send (${loadDefaults.seconds})
  --messages <n>            stop after so many messages over all connections
  --processes <n>           generator processes (${loadDefaults.processes})
  --seed <n>                seed of everything random (${loadDefaults.seed})
  --run <name>              name in the device ids load-<name>-000000 … (made from the time)
  --clickhouse <url|none>   where the rows are counted (http://127.0.0.1:8123)
  --table <name>            (${loadDefaults.table})
  --quiet-seconds <n>       without a new row for so long, what is missing is lost (${loadDefaults.quietMsMax / 1000})
  --cpus <list>             pin the generator to these CPUs, e.g. 1 or 0,2-3 (Linux)

Thresholds and results:

  --slo <name=value,…>      e.g. puback_p99_ms=50,stored_p99_ms=1000,acknowledged_per_s=20000; a missed one fails the run
  --report <file|none>      a page with charts, and the whole result as JSON beside it (./data/loadtest/<run>.html)
  --compare <result.json>   show the difference to an earlier result in the report
  --json <file>             write the JSON there instead; - for standard output instead of the screen
  --metrics <url|none>      the target's own counters (http://127.0.0.1:8080/metrics)

Faults: npm run loadtest -- --scenario list

Exit code: 0 all acknowledged messages are stored exactly once and in order, and the thresholds are met; 1 not so; 2 the run itself
failed; 3 the generator was the limit, so the figures prove nothing. docs/LOADTEST.md says what the numbers mean.
Latencies count from the moment a message was to be sent, also when the target or the generator was late.`

export interface CommandLine {
  readonly options: LoadOptions
  readonly jsonFile: string | undefined
  /** Undefined: no report. */
  readonly reportFile: string | undefined
  readonly compareFile: string | undefined
  readonly metricsUrl: string | undefined
  readonly thresholds: readonly Threshold[]
  readonly isHelp: boolean
}

/** Reads the command line. @throws LOADTEST_OPTIONS_INVALID with all faults */
export function commandLineOf(args: readonly string[], nowMs: number): CommandLine {
  const text = (name: string) => values[name] as string | undefined
  const faults: string[] = []
  let values: Record<string, unknown> = {}
  try {
    values = parseArgs({ args: [...args], options: flags, strict: true, allowPositionals: false }).values
  } catch (error) {
    faults.push(error instanceof Error ? error.message : String(error))
  }
  const integer = (name: string, standard: number, min: number, max: number): number => {
    const given = text(name)
    if (given === undefined) return standard
    const value = Number(given)
    if (given.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value
    faults.push(`--${name} ${given}: allowed is an integer from ${min} to ${max}`)
    return standard
  }
  const connections = integer('connections', loadDefaults.connections, 1, 999_999)
  const options: LoadOptions = {
    ...loadDefaults,
    url: text('url') ?? loadDefaults.url,
    connections,
    qos: integer('qos', loadDefaults.qos, 0, 1) === 0 ? 0 : 1,
    protocol: integer('protocol', loadDefaults.protocol, 4, 5) === 5 ? 5 : 4,
    bodyBytes: integer('body-bytes', loadDefaults.bodyBytes, bodyBytesMin, limits.bodyBytesMax),
    rate: text('rate') === 'saturate' ? 'saturate' : integer('rate', Number(loadDefaults.rate), 0, 100_000_000),
    burst: integer('burst', loadDefaults.burst, 1, 1_000_000),
    window: integer('window', loadDefaults.window, 1, packetIds),
    seconds: integer('seconds', loadDefaults.seconds, 1, 30 * 86_400),
    messages: text('messages') === undefined ? undefined : integer('messages', 1, 1, sequencesMax),
    processes: integer('processes', loadDefaults.processes, 1, Math.min(256, connections)),
    seed: integer('seed', loadDefaults.seed, 0, 2 ** 32 - 1),
    run: text('run') ?? nowMs.toString(36),
    clickhouse: orNone(text('clickhouse') ?? 'http://127.0.0.1:8123'),
    table: text('table') ?? loadDefaults.table,
    quietMsMax: integer('quiet-seconds', loadDefaults.quietMsMax / 1000, 0, 86_400) * 1000,
    cpuList: text('cpus'),
  }
  faults.push(...faultsOf(options))
  let thresholds: readonly Threshold[] = []
  try {
    thresholds = thresholdsOf(text('slo') ?? '')
  } catch (error) {
    if (!isPenstockError(error, 'LOADTEST_OPTIONS_INVALID')) throw error
    faults.push(error.message)
  }
  const metricsUrl = orNone(text('metrics') ?? 'http://127.0.0.1:8080/metrics')
  if (metricsUrl !== undefined && !URL.canParse(metricsUrl))
    faults.push(`--metrics ${metricsUrl}: expected http://host:port/metrics, or none`)
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  return {
    options,
    jsonFile: text('json'),
    reportFile: orNone(text('report') ?? `./data/loadtest/${options.run}.html`),
    compareFile: text('compare'),
    metricsUrl,
    thresholds,
    isHelp: values.help === true,
  }
}

function orNone(text: string): string | undefined {
  return text === 'none' ? undefined : text
}

/** What is wrong with options that did not come from the command line, too. */
export function faultsOf({ url, run, clickhouse, table, cpuList }: LoadOptions): string[] {
  const faults: string[] = []
  if (!URL.canParse(url) || new URL(url).protocol !== 'mqtt:') faults.push(`--url ${url}: expected mqtt://host:port`)
  if (!/^[A-Za-z0-9]{1,32}$/.test(run)) faults.push(`--run ${run}: expected up to 32 letters and digits`)
  if (clickhouse !== undefined && !/^https?:$/.test(URL.canParse(clickhouse) ? new URL(clickhouse).protocol : ''))
    faults.push(`--clickhouse ${clickhouse}: expected http(s)://host:port, or none`)
  if (!/^\w+(\.\w+)?$/.test(table)) faults.push(`--table ${table}: expected database.table`)
  if (cpuList !== undefined && !/^[\d,-]+$/.test(cpuList)) faults.push(`--cpus ${cpuList}: expected e.g. 1 or 0,2-3`)
  return faults
}

const flags = {
  help: { type: 'boolean', short: 'h' },
  url: { type: 'string' },
  connections: { type: 'string' },
  qos: { type: 'string' },
  protocol: { type: 'string' },
  'body-bytes': { type: 'string' },
  rate: { type: 'string' },
  burst: { type: 'string' },
  window: { type: 'string' },
  seconds: { type: 'string' },
  messages: { type: 'string' },
  processes: { type: 'string' },
  seed: { type: 'string' },
  run: { type: 'string' },
  clickhouse: { type: 'string' },
  table: { type: 'string' },
  'quiet-seconds': { type: 'string' },
  cpus: { type: 'string' },
  json: { type: 'string' },
  slo: { type: 'string' },
  report: { type: 'string' },
  compare: { type: 'string' },
  metrics: { type: 'string' },
} as const

/** First part of the device ids of a run; what reconciliation asks for. */
export function runPrefix(run: string): string {
  return `load-${run}-`
}

/** Device ids have one width, so that frames of all devices are equally long. */
export function deviceIdOf(run: string, index: number): string {
  return `${runPrefix(run)}${String(index).padStart(6, '0')}`
}
