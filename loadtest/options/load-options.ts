/** Messages a second from one rate to another, in a straight line. */
export interface RateSegment {
  readonly seconds: number
  readonly from: number
  readonly to: number
}

/** A moment at which a share of all devices loses its connection at once. */
export interface Storm {
  readonly atSeconds: number
  /** Of 0 … 1. */
  readonly share: number
}

/** A stretch in which a share of all devices does not read its socket: PUBACKs stay there, and its window fills. */
export interface SlowReading extends Storm {
  readonly forSeconds: number
}

/**
 * What a workload is made of. Telemetry goes to rows; `reported` are patches that devices report, `desired` changes that devices are told,
 * `methods` calls that devices answer, and `commands` messages to devices (`loadtest/exchange/`).
 */
export const workloadKinds = ['telemetry', 'reported', 'desired', 'methods', 'commands'] as const
export type WorkloadKind = (typeof workloadKinds)[number]
/** A kind that is answered, not stored. */
export type ExchangeKind = Exclude<WorkloadKind, 'telemetry'>

/** How a service reaches the hub's REST API. */
export interface ServiceAccess {
  readonly url: string
  /** SAS token; never shown. */
  readonly token: string
}

/** What one load run does; every field is plain data, so it is also what the generator's processes are sent. */
export interface LoadOptions {
  /** `mqtt:`, `mqtts:`, `ws:`, `wss:`, `amqp:`, `amqps:`, `amqp+ws:`, `amqp+wss:`, `http:` or `https://host:port` */
  readonly url: string
  /** Devices. */
  readonly connections: number
  /** Over AMQP: devices that share a connection, each with a session and a token of its own; 1: none does. */
  readonly devicesPerConnection: number
  readonly kind: WorkloadKind
  readonly qos: 0 | 1
  readonly protocol: 4 | 5
  readonly bodyBytes: number
  /** Makes bodies of exactly `bodyBytes` (`templateBody`); undefined: they only have a size. */
  readonly bodyTemplate: string | undefined
  /** Properties of every message, as an MQTT topic ends: `name=value&…`, percent-encoded; `{device}` stands for the device's id. */
  readonly propertyBag: string
  /** Messages, or operations of another kind, a second over all connections, on an absolute schedule; 0 only connects; 'saturate' sends what the target takes. */
  readonly rate: number | 'saturate'
  /** Rates over time, for a run that is not steady; undefined: `rate` for `seconds`. */
  readonly shape: readonly RateSegment[] | undefined
  /** Exponent of Zipf's law for the devices' shares of the rate; 0: all devices alike. */
  readonly skew: number
  readonly storms: readonly Storm[]
  readonly slowReading: readonly SlowReading[]
  /** On a schedule: messages a device sends one right after the other before the next device's turn. */
  readonly burst: number
  /** Most unacknowledged messages a connection (QoS 1). */
  readonly window: number
  readonly seconds: number
  /** The first seconds of sending: in the ledger and the timeline, but not in the latencies, since code is compiled and buffers grow. */
  readonly warmUpSeconds: number
  /** Ends the run earlier, after so many messages over all connections. */
  readonly messages: number | undefined
  readonly processes: number
  readonly seed: number
  /** Names the run in device ids (`load-<run>-000000`); letters and digits. */
  readonly run: string
  /** ClickHouse HTTP address (user and password may be in it); undefined: nothing is reconciled. */
  readonly clickhouse: string | undefined
  readonly table: string
  /** Connections a second over all processes, on an absolute schedule; 0: as fast as the target accepts them. */
  readonly connectRate: number
  /** All connections must be accepted so long after the last one's turn. */
  readonly connectMsMax: number
  /** After the last message, how long PUBACKs are waited for. */
  readonly drainMsMax: number
  /** Reconciling, how long without a new row until what is missing counts as lost. */
  readonly quietMsMax: number
  /** CPUs the generator's processes are pinned to, as `taskset -c` takes them (Linux); undefined: any. */
  readonly cpuList: string | undefined
  /** PEM file of the authority behind the target's certificate; undefined: the usual ones. */
  readonly tlsCaFile: string | undefined
  /** Takes any certificate. */
  readonly isTlsUnverified: boolean
  /** Addresses of this machine to connect from, in turn; empty: the system's choice. One carries about 28,000 connections. */
  readonly sourceAddresses: readonly string[]
  /** CSV of `username,password` lines, taken by the devices in turn. */
  readonly accountsFile: string | undefined
  /** Devices were registered with keys made from this; never shown. */
  readonly deviceKeySecret: string | undefined
  /** For all kinds but telemetry, which have a service at their other end. */
  readonly service: ServiceAccess | undefined
  /** The hub's name in tokens of devices that send over HTTP. */
  readonly hubName: string
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
  devicesPerConnection: 1,
  kind: 'telemetry',
  qos: 1,
  protocol: 4,
  bodyBytes: 48,
  bodyTemplate: undefined,
  propertyBag: '',
  rate: 10_000,
  burst: 1,
  window: 1_000,
  seconds: 10,
  warmUpSeconds: 0,
  messages: undefined,
  processes: 1,
  seed: 1,
  run: '',
  clickhouse: undefined,
  table: 'penstock.telemetry',
  connectRate: 0,
  connectMsMax: 30_000,
  drainMsMax: 30_000,
  quietMsMax: 30_000,
  cpuList: undefined,
  shape: undefined,
  skew: 0,
  storms: [],
  slowReading: [],
  tlsCaFile: undefined,
  isTlsUnverified: false,
  sourceAddresses: [],
  accountsFile: undefined,
  deviceKeySecret: undefined,
  service: undefined,
  hubName: 'localhost',
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

/** Over HTTP each device waits for its answer: nothing is offered whatever the target does. */
export function isClosedLoop({ url }: LoadOptions): boolean {
  return url.startsWith('http')
}

/** AMQP 1.0, over WebSocket too. */
export function isAmqp(url: string): boolean {
  return /^amqp/.test(url)
}

/** What a load asks of its target, for people. */
export function askedText(options: LoadOptions): string {
  const { rate, window } = options
  if (rate === 'saturate') return isClosedLoop(options) ? 'saturating, closed-loop' : `saturating, window ${window}`
  const perSecond = `${rate.toLocaleString('en')}/s`
  return isClosedLoop(options) ? `asked for ${perSecond}, closed-loop` : `${perSecond} offered`
}

/** What is wrong with options that did not come from the command line, too. */
export function faultsOf(options: LoadOptions): string[] {
  const { url, run, clickhouse, table, cpuList, firstDevice, connections, connectRate, storms, slowReading } = options
  const faults: string[] = []
  if (options.warmUpSeconds >= options.seconds)
    faults.push(`--warm-up ${options.warmUpSeconds}: must end before the run's ${options.seconds} seconds`)
  const scheme = URL.canParse(url) ? new URL(url).protocol : ''
  if (!/^(mqtts?|(amqp\+)?wss?|amqps?|https?):$/.test(scheme))
    faults.push(
      `--url ${url}: expected mqtt, mqtts, ws, wss, amqp, amqps, amqp+ws, amqp+wss, http or https://host:port`,
    )
  if (!/^[A-Za-z0-9]{1,32}$/.test(run)) faults.push(`--run ${run}: expected up to 32 letters and digits`)
  if (clickhouse !== undefined && !/^https?:$/.test(URL.canParse(clickhouse) ? new URL(clickhouse).protocol : ''))
    faults.push(`--clickhouse ${clickhouse}: expected http(s)://host:port, or none`)
  if (!/^\w+(\.\w+)?$/.test(table)) faults.push(`--table ${table}: expected database.table`)
  if (cpuList !== undefined && !/^[\d,-]+$/.test(cpuList)) faults.push(`--cpus ${cpuList}: expected e.g. 1 or 0,2-3`)
  if (firstDevice + connections > devicesMax)
    faults.push(`--connections: all workloads together have at most ${devicesMax} devices`)
  if (/^https?:$/.test(scheme)) {
    if (connectRate > 0) faults.push('--connect-rate: not over HTTP, where connections open with requests')
    if (storms.length + slowReading.length > 0)
      faults.push('storms and slow reading: not over HTTP, where each request is answered by itself')
  }
  if (options.devicesPerConnection > 1 && !isAmqp(url))
    faults.push('--devices-per-connection: only over AMQP; over MQTT and HTTP each device has a connection of its own')
  if (isAmqp(url) && options.bodyBytes > amqpBodyBytesMax)
    faults.push(
      `bodies of ${options.bodyBytes} bytes: over AMQP at most ${amqpBodyBytesMax}, so that each fits a frame`,
    )
  // What has faults already may not even be whole.
  return faults.length > 0 || options.kind === 'telemetry' ? faults : exchangeFaultsOf(options)
}

/** What does not go with operations that a service begins or sees. */
function exchangeFaultsOf({ workload, kind, url, rate, slowReading, bodyTemplate, service }: LoadOptions): string[] {
  const at = `workload ${workload} of ${kind}`
  const faults: string[] = []
  if (service === undefined) faults.push(`${at}: needs registered devices and a service, so --owner-key or --data-dir`)
  if (/^https?:/.test(url)) faults.push(`${at}: its devices listen, which they cannot over HTTP`)
  if (isAmqp(url)) faults.push(`${at}: its devices speak MQTT`)
  if (rate === 'saturate') faults.push(`${at}: needs a rate`)
  if (slowReading.length > 0) faults.push(`${at}: slow reading is for telemetry`)
  if (bodyTemplate !== undefined) faults.push(`${at}: a body template is for telemetry`)
  return faults
}

/** Fits, with properties, the frames of 64 KiB that a target takes. */
export const amqpBodyBytesMax = 60_000

/** Sessions that a connection may have beside the one for tokens. */
export const devicesPerConnectionMax = 1_000

/** Of a run. */
export const secondsMax = 30 * 86_400

/** So long deleting the devices of a run may take: who ends it waits for it. */
export const removeMsMax = 10_000

/** Of a workload. */
export const connectRateMax = 1_000_000

/** First part of the device ids of a run; what reconciliation asks for. */
export function runPrefix(run: string): string {
  return `load-${run}-`
}

/** Generator processes on one machine. */
export const processesMax = 256

/** As many as six digits number. */
const devicesMax = 1_000_000

/** Device ids have one width, so that frames of all devices are equally long. */
export function deviceIdOf(run: string, index: number): string {
  return `${runPrefix(run)}${String(index).padStart(6, '0')}`
}
