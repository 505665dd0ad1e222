/**
 * One point of the sweep: a fresh Penstock, a short load, and what it took between two looks while the load was steady.
 *
 *   connect ── warm-up ──┤ look … look ├── drain ── all rows there? ── what lies on disk
 *
 * Connecting, closing and the first compilation of code are outside the looks.
 */
import { type PenstockSettings, RunningPenstock } from '#infra/testbed/penstock.ts'
import { clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { metricSums } from '#loadtest/observe/target-metrics.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { memoryBytesOf } from '#runtime/proc.ts'
import { anonymousBytesOf, cpuSecondsOf } from '#runtime/processes.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { PointLoad, Quantity, ScalingPoint, Work } from './scaling-point.ts'
import { openFilesMax, type PlannedPoint, processesFor } from './sweep.ts'

type Role = 'edge' | 'worker' | 'warehouse'

const warmUpMs = 2_000
const lookMsMin = 400
const connectMsMax = 120_000
const rowsMsMax = 60_000
const { table } = loadDefaults
const connectionsAnAddress = 2_000
/** MQTT's chunk: what one read of a socket returns at most. */
const readBytes = 64 * 1024
/** Fixed header, topic `devices/load-<run>-000000/messages/events/` and packet id. */
const frameBytesBesideBody = 52
/** Fewer connections than these move the kernel's memory less than anything else on the machine does. */
const kernelConnectionsMin = 1_000

interface Look {
  readonly atMs: number
  readonly settled: number
  readonly rows: Promise<number>
  readonly cpuSeconds: Readonly<Record<Role, number>>
  readonly memoryBytes: Readonly<Record<Role, number>>
  readonly slabBytes: number
}

/**
 * @param run its number in the sweep
 * @param seconds of load, of which the warm-up is not measured
 * @param settings on top of those that make the point
 * @throws as `runLoad` does; LOADTEST_LOST, LOADTEST_REPEATED if the rows are not as many as were acknowledged
 */
export async function measurePoint(
  { sweep, load }: PlannedPoint,
  run: number,
  seconds: number,
  settings: PenstockSettings = {},
): Promise<ScalingPoint> {
  const target = await RunningPenstock.start({
    settings: {
      PENSTOCK_LOG_LEVEL: 'warn',
      PENSTOCK_PARTITIONS: String(load.partitions),
      PENSTOCK_EDGE_PROCESSES: String(load.edges),
      ...settings,
    },
    showsErrors: true,
  })
  const moreWorkers: RunningPenstock[] = []
  try {
    // The supervisor starts one worker.
    for (let index = 1; index < load.workers; index++) moreWorkers.push(await target.addWorker())
    const installation = [target, ...moreWorkers]
    const slabBefore = memoryBytesOf('Slab')
    const { looks, result } = await lookDuring(installation, load, run, seconds)
    const steady = steadyOf(looks, result.sendMs, seconds)
    const { from, to } = steady
    const isBusy = load.rate !== 0
    if (isBusy && to.settled === from.settled)
      throw new PenstockError('LOADTEST_GENERATOR_FAILED', 'nothing was acknowledged between the looks')
    if (isBusy) await allStored(target, result.counts.atEnd.settled)
    const measuredSeconds = (to.atMs - from.atMs) / 1000
    const perSecond = (fromValue: number, toValue: number) => (toValue - fromValue) / measuredSeconds
    const onDisk = await onDiskOf(target)
    const work = workOf(load, {
      messagesPerSecond: perSecond(from.settled, to.settled),
      rowsPerSecond: perSecond(await from.rows, await to.rows),
      ...onDisk,
    })
    const measured: Partial<Record<Quantity, number>> = {
      ...usageOf(steady, perSecond),
      // Both ends of each connection are on this machine.
      ...(load.connections < kernelConnectionsMin ? {} : { kernelMemory: Math.max(0, to.slabBytes - slabBefore) / 2 }),
      ...(isBusy
        ? {
            logBytesPerSecond: work.logBytesPerSecond,
            clickhouseBytesPerSecond: onDisk.bytesARow * work.rowsPerSecond,
          }
        : {}),
    }
    return { sweep, load, seconds: measuredSeconds, work, measured, warnings: result.warnings }
  } finally {
    await Promise.all(moreWorkers.map((worker) => worker.stop()))
    await target.stop()
  }
}

/** Runs the load, and looks whenever all devices are connected. */
async function lookDuring(installation: readonly RunningPenstock[], load: PointLoad, run: number, seconds: number) {
  const { connections, rate, burst, bodyBytes } = load
  const [main] = installation
  if (main === undefined) throw new Error('there is nothing to look at')
  const looks: Look[] = []
  const look = (settled: number) => {
    const atMs = performance.now()
    if (atMs - (looks.at(-1)?.atMs ?? 0) >= lookMsMin)
      looks.push(lookAt(installation, main.clickhouseUrl, atMs, settled))
  }
  const result = await runLoad(
    {
      ...loadDefaults,
      url: main.mqttUrl,
      run: `scaling${run}`,
      connections,
      rate,
      burst,
      bodyBytes,
      seconds,
      connectMsMax,
      drainMsMax: rowsMsMax,
      processes: processesFor(connections, openFilesMax()),
      sourceAddresses: sourceAddressesFor(connections, run),
    },
    { onProgress: ({ settled, open }) => open === connections && look(settled) },
  )
  return { looks, result }
}

/** The looks while the load was steady, and the two that everything is measured between. */
interface SteadyLooks {
  readonly from: Look
  readonly to: Look
  readonly all: readonly Look[]
}

/** @throws LOADTEST_GENERATOR_FAILED where there are no two */
function steadyOf(looks: readonly Look[], sendMs: number, seconds: number): SteadyLooks {
  const all = looks.filter(({ atMs }, _, [first]) => first !== undefined && isSteady(atMs - first.atMs, sendMs))
  const [from, to] = [all[0], all.at(-1)]
  if (from === undefined || to === undefined || from === to)
    throw new PenstockError(
      'LOADTEST_GENERATOR_FAILED',
      `too short to be measured: ${looks.length} looks in ${seconds} s`,
    )
  return { from, to, all }
}

/** Cores between the two looks, and the most memory at any. */
function usageOf({ from, to, all }: SteadyLooks, perSecond: (from: number, to: number) => number) {
  const coresOf = (role: Role) => perSecond(from.cpuSeconds[role], to.cpuSeconds[role])
  const memoryOf = (role: Role) => Math.max(...all.map(({ memoryBytes }) => memoryBytes[role]))
  return {
    edgeCores: coresOf('edge'),
    workerCores: coresOf('worker'),
    warehouseCores: coresOf('warehouse'),
    edgeMemory: memoryOf('edge'),
    workerMemory: memoryOf('worker'),
    warehouseMemory: memoryOf('warehouse'),
  }
}

/**
 * One address has 28,000 ports, and long before they are used up the kernel searches long for a free one. Ports of closed connections
 * stay taken for a minute, so each run has addresses of its own.
 */
function sourceAddressesFor(connections: number, run: number): string[] {
  const count = Math.ceil(connections / connectionsAnAddress)
  return Array.from({ length: count }, (_, index) => `127.${1 + (run % 250)}.0.${index + 1}`)
}

/** The first look comes half a second after the first message. */
function isSteady(sinceFirstLookMs: number, sendMs: number): boolean {
  return sinceFirstLookMs >= warmUpMs - 500 && sinceFirstLookMs <= sendMs - 500
}

function lookAt(installation: readonly RunningPenstock[], clickhouseUrl: string, atMs: number, settled: number): Look {
  const sumOf = (role: Role, value: (pid: number) => number) =>
    installation.flatMap((each) => each.pidsOf(role)).reduce((sum, pid) => sum + value(pid), 0)
  const ofRoles = (value: (pid: number) => number): Record<Role, number> => ({
    edge: sumOf('edge', value),
    worker: sumOf('worker', value),
    warehouse: sumOf('warehouse', value),
  })
  const rows = clickhouseRows(clickhouseUrl, table).tableRows()
  // It is awaited only where the look is one of the two that count.
  rows.catch(() => {})
  return {
    atMs,
    settled,
    rows,
    cpuSeconds: ofRoles(cpuSecondsOf),
    memoryBytes: ofRoles(anonymousBytesOf),
    // Kernel objects, sockets among them.
    slabBytes: memoryBytesOf('Slab'),
  }
}

/** A figure of a run that lost something would be worth nothing. The table holds this run only. */
async function allStored(target: RunningPenstock, acknowledged: number): Promise<void> {
  const { tableRows } = clickhouseRows(target.clickhouseUrl, table)
  const deadlineMs = performance.now() + rowsMsMax
  let rows = await tableRows()
  while (rows < acknowledged && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    rows = await tableRows()
  }
  if (rows === acknowledged) return
  const code = rows < acknowledged ? 'LOADTEST_LOST' : 'LOADTEST_REPEATED'
  throw new PenstockError(code, `${acknowledged} messages were acknowledged, ${rows} are stored`)
}

interface OnDisk {
  readonly batchesAMessage: number
  readonly logBytesAMessage: number
  readonly insertsARow: number
  readonly bytesARow: number
}

/** What a message of this run left behind, over all of it. */
async function onDiskOf(target: RunningPenstock): Promise<OnDisk> {
  const counters = await metricSums(target.metricsUrl)
  const counted = (name: string) => counters?.get(`penstock_edge_${name}_total`) ?? 0
  const messages = Math.max(1, counted('messages_acknowledged'))
  const { clickhouseUrl } = target
  const [[rows, inserts] = []] = await queryRows(
    clickhouseUrl,
    // An insert has one partition and first offset.
    `SELECT count(), uniqExact(log_partition, log_offset) FROM ${table}`,
    {},
  )
  const [database = '', name = ''] = table.split('.')
  const [[bytes] = []] = await queryRows(
    clickhouseUrl,
    'SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = {database:String} AND table = {name:String}',
    { database, name },
  )
  const stored = Math.max(1, Number(rows))
  return {
    batchesAMessage: counted('batches_appended') / messages,
    logBytesAMessage: counted('batch_bytes') / messages,
    insertsARow: Number(inserts) / stored,
    bytesARow: Number(bytes) / stored,
  }
}

/** The work of a second, as the terms of the model count it. */
function workOf(
  load: PointLoad,
  counted: OnDisk & { readonly messagesPerSecond: number; readonly rowsPerSecond: number },
): Work {
  const { messagesPerSecond, rowsPerSecond } = counted
  const isBusy = load.rate === 0 ? 0 : 1
  return {
    messagesPerSecond,
    bodyBytesPerSecond: messagesPerSecond * load.bodyBytes,
    readsPerSecond: messagesPerSecond * readsAMessage(load),
    batchesPerSecond: messagesPerSecond * counted.batchesAMessage,
    logBytesPerSecond: messagesPerSecond * counted.logBytesAMessage,
    rowsPerSecond,
    rowBytesPerSecond: rowsPerSecond * load.bodyBytes,
    insertsPerSecond: rowsPerSecond * counted.insertsARow,
    connections: load.connections,
    edges: load.edges,
    workers: load.workers,
    warehouses: 1,
    edgesBusy: load.edges * isBusy,
    workersBusy: load.workers * isBusy,
    warehousesBusy: isBusy,
  }
}

/** Messages sent together are found in one read, or in as many as they are long; saturating, every read is full. */
export function readsAMessage({ rate, burst, bodyBytes }: Pick<PointLoad, 'rate' | 'burst' | 'bodyBytes'>): number {
  const frameBytes = bodyBytes + frameBytesBesideBody
  return rate === 'saturate' ? frameBytes / readBytes : Math.ceil((burst * frameBytes) / readBytes) / burst
}
