/**
 * Isolation [G-10]: at half load, one endpoint is dead and one takes a hundredth of what it is to get. The default table and a third endpoint, another
 * table, are measured beside them, beside both in health, which shows what their route costs, and alone, in turn. Reach: their rate and p99 are at most
 * 10 % off. Afterwards both are back, and get everything.
 */
import { createServer, type Server } from 'node:http'
import { assertClean } from '#loadtest/ledger/reconcile.ts'
import { clickhouseRows } from '#loadtest/observe/clickhouse-rows.ts'
import { queryRows } from '#loadtest/observe/query-rows.ts'
import { watchVisibleLatency } from '#loadtest/observe/visible-latency.ts'
import { deviceIdOf, type LoadOptions, loadDefaults } from '#loadtest/options/load-options.ts'
import { runLoad } from '#loadtest/run/run-load.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { freePort } from '#runtime/free-ports.ts'
import { BenchRecord, benchArguments } from './bench-record.ts'
import { type RoutedPenstock, routedPropertyBag, startRouted, until } from './routed-penstock.ts'

const saturatingSecondsMax = 10
const drainMsMax = 600_000
const thirdTable = 'own.third'
/** A device of the hundred. */
const routedDevice = 7
const messagesPerRequest = 10
const lookMs = 100
/** As N-6: devices that share so much send some at a time. One at a time, half of the rate would be all that the edge can take. */
const burst = 50
/** Not in the latencies: connections are made, code is compiled, tables get their first rows. */
const warmUpSecondsMax = 10
/** Below the time that the endpoint waits for an answer. */
const answerMsMax = 8_000

/** Nobody else; two endpoints that take what comes; the same two, one dead and one slow. */
type Phase = 'alone' | 'healthy' | 'beside'

const phases: readonly Phase[] = ['alone', 'healthy', 'beside']

const figures = [
  'default table, rows/s',
  'default table, p99 ms',
  'third endpoint, rows/s',
  'third endpoint, p99 ms',
] as const

/** Gets requests of messages, and keeps their ids. */
class Receiver {
  readonly ids = new Set<string>()
  /** Messages a second that it takes. */
  perSecond = Number.POSITIVE_INFINITY
  readonly port: number
  #server: Server | undefined

  constructor(port: number) {
    this.port = port
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('error', () => {})
      request.on(
        'end',
        () => void this.#take(Buffer.concat(chunks).toString()).then(() => response.writeHead(204).end()),
      )
    }).listen(this.port, '127.0.0.1')
    await new Promise((resolve) => this.#server?.once('listening', resolve))
  }

  stop(): void {
    this.#server?.closeAllConnections()
    this.#server?.close()
  }

  async #take(text: string): Promise<void> {
    const messages = JSON.parse(text) as readonly { readonly id: string }[]
    await sleep(systemClock, Math.min(answerMsMax, (messages.length / this.perSecond) * 1000))
    for (const { id } of messages) this.ids.add(id)
  }
}

/** Looks again and again how many rows there are. */
class Growth {
  count = 0
  #fromMs: number | undefined
  #toMs = 0
  #isStopped = false
  readonly #looking: Promise<void>

  constructor(countOf: () => Promise<number>) {
    this.#looking = this.#look(countOf)
  }

  /** From the first rows that were seen until the last. */
  get seconds(): number {
    return (this.#toMs - (this.#fromMs ?? this.#toMs)) / 1000
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#looking
  }

  async #look(countOf: () => Promise<number>): Promise<void> {
    while (!this.#isStopped) {
      // There is no table before the first rows.
      const count = await countOf().catch(() => 0)
      if (count > this.count) {
        this.count = count
        this.#toMs = performance.now()
        this.#fromMs ??= this.#toMs
      }
      await sleep(systemClock, lookMs)
    }
  }
}

async function bench(): Promise<void> {
  const args = benchArguments({ rounds: 3, seconds: 60 })
  const record = new BenchRecord('r-isolation', 'Isolation: a dead and a slow endpoint beside others')
  for (let round = 0; round < args.rounds; round++) {
    const perSecond = (await saturated(`risor${round}`, Math.min(args.seconds, saturatingSecondsMax))) / 2
    record.add('half load, messages/s', perSecond)
    for (const phase of round % 2 === 0 ? phases : [...phases].reverse())
      await measure(phase, `riso${phase[0]}${round}`, Math.floor(perSecond), args.seconds, record)
  }
  const ratios = figures.map((figure) => ratioOf(record, 'beside', figure))
  const isReached = ratios.every((ratio, index) => (figures[index]?.endsWith('ms') ? ratio <= 1.1 : ratio >= 0.9))
  record.finish(
    `**Beside ÷ alone: ${ratiosText(record, 'beside')} (reach: within 10 %; ${isReached ? 'reached' : 'not reached'}). Beside both in health ÷ alone: ${ratiosText(record, 'healthy')}. After recovery both endpoints had everything.**`,
    `100 connections, QoS 1, 48-byte JSON, ${burst} at a time, half of what both tables store of a load that saturates. A third endpoint gets every message into another table; one device’s go to a webhook where nobody listens and to one that takes 1 % of them. Everything on all CPUs.`,
    args,
  )
}

function ratioOf(record: BenchRecord, phase: Phase, figure: string): number {
  return record.median(`${phase}: ${figure}`) / record.median(`alone: ${figure}`)
}

function ratiosText(record: BenchRecord, phase: Phase): string {
  const ratio = (figure: string) => ratioOf(record, phase, figure).toFixed(2)
  return figures
    .map(
      (figure) => `${figure.replace(/,? (rows\/s|ms)$/, '')}${figure.endsWith('ms') ? '' : ' rate'} ${ratio(figure)}`,
    )
    .join(', ')
}

/** Rows a second that both tables get of a load that saturates, until the slower one has its last: more would be acknowledged. */
async function saturated(run: string, seconds: number): Promise<number> {
  const routed = await startRouted(undefined)
  try {
    await routed.route({ routes: [all], endpoints: [third] })
    const { rowsPerSecond, thirdRowsPerSecond } = await underLoad(routed, { run, rate: 'saturate', seconds })
    return Math.min(rowsPerSecond, thirdRowsPerSecond)
  } finally {
    await routed.stop()
  }
}

const all = { name: 'all', endpointNames: ['third'] }
const third = { name: 'third', kind: 'clickhouse', database: 'own', table: 'third' }

async function measure(phase: Phase, run: string, rate: number, seconds: number, record: BenchRecord): Promise<void> {
  const routed = await startRouted(undefined)
  const [dead, slow] = [new Receiver(await freePort()), new Receiver(await freePort())]
  if (phase === 'beside') slow.perSecond = Math.max(1, rate / loadDefaults.connections / 100)
  if (phase === 'healthy') await dead.start()
  await slow.start()
  try {
    await routed.route(phase === 'alone' ? { routes: [all], endpoints: [third] } : besides(run, dead, slow))
    const figured = await underLoad(routed, { run, rate, seconds })
    Object.values(figured).forEach((value, index) => {
      record.add(`${phase}: ${figures[index]}`, value)
    })
    record.add(`${phase}: router, CPU seconds`, routed.penstock.cpuSeconds('router'))
    record.add(`${phase}: all roles, CPU seconds`, routed.penstock.cpuSeconds())
    if (phase === 'beside') await recover(routed, run, dead, slow, record)
  } finally {
    await routed.stop()
    dead.stop()
    slow.stop()
  }
}

function besides(run: string, dead: Receiver, slow: Receiver) {
  const hook = (name: string, { port }: Receiver) => {
    const url = `http://127.0.0.1:${port}/`
    return { name, kind: 'webhook', url, messagesMax: messagesPerRequest, timeoutMs: 2 * answerMsMax }
  }
  const one = { name: 'one', condition: `device = '${deviceIdOf(run, routedDevice)}'`, endpointNames: ['dead', 'slow'] }
  return { routes: [all, one], endpoints: [third, hook('dead', dead), hook('slow', slow)] }
}

/** In the order of the figures. */
async function underLoad(
  { penstock }: RoutedPenstock,
  { run, rate, seconds }: Pick<LoadOptions, 'run' | 'rate' | 'seconds'>,
) {
  const target = { url: penstock.mqttUrl, clickhouse: penstock.clickhouseUrl }
  const warmUpSeconds = rate === 'saturate' ? 0 : Math.min(warmUpSecondsMax, Math.floor(seconds / 3))
  const load = { ...loadDefaults, ...target, propertyBag: routedPropertyBag, run, rate, seconds, warmUpSeconds, burst }
  // Both processes are on this machine, so their clocks are one.
  const watched = watchVisibleLatency(load, clickhouseRows(penstock.clickhouseUrl, thirdTable), Date.now(), () => 0)
  const growth = new Growth(async () => {
    const [row] = await queryRows(penstock.clickhouseUrl, `SELECT count() FROM ${thirdTable}`, {})
    return Number(row?.[0])
  })
  const result = await runLoad({ ...load, drainMsMax })
  if (result.reconciliation) assertClean(result.reconciliation)
  const stored = result.reconciliation?.stored ?? 0
  await until(async () => growth.count >= stored, drainMsMax)
  await growth.stop()
  const { summary } = await watched.stop()
  return {
    rowsPerSecond: result.storedPerSecond ?? 0,
    p99Ms: result.latency.visible?.summary.p99Ms ?? Number.NaN,
    thirdRowsPerSecond: stored / growth.seconds,
    thirdP99Ms: summary.p99Ms,
  }
}

/** The dead one listens, the slow one takes what comes: both must get every message that was meant for them. */
async function recover(
  { penstock }: RoutedPenstock,
  run: string,
  dead: Receiver,
  slow: Receiver,
  record: BenchRecord,
): Promise<void> {
  const statement = `SELECT count() FROM ${loadDefaults.table} WHERE device_id = '${deviceIdOf(run, routedDevice)}'`
  const wanted = Number((await queryRows(penstock.clickhouseUrl, statement, {}))[0]?.[0])
  record.add('behind before recovery: dead, messages', wanted - dead.ids.size)
  record.add('behind before recovery: slow, messages', wanted - slow.ids.size)
  const begunMs = performance.now()
  slow.perSecond = Number.POSITIVE_INFINITY
  await dead.start()
  await until(async () => dead.ids.size >= wanted && slow.ids.size >= wanted, drainMsMax)
  record.add('seconds until both have everything', (performance.now() - begunMs) / 1000)
}

if (import.meta.main) await bench()
