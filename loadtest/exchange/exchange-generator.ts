/**
 * The devices of one generator process that are not only sent from, with the service at their other end: connects them, begins operations
 * by an absolute schedule, waits for what is under way, looks at what only the hub can tell, reports.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { nowUs } from '#loadtest/generate/device-connection.ts'
import { type DeviceIdentity, deviceIdentities } from '#loadtest/generate/device-identities.ts'
import { SocketFactory } from '#loadtest/generate/device-socket.ts'
import type { GeneratorInterval, GeneratorProgress, GeneratorReport } from '#loadtest/generate/generator.ts'
import { measured } from '#loadtest/generate/measured.ts'
import { RateSchedule, type TurnOrder } from '#loadtest/generate/schedule.ts'
import { type GeneratorSlice, quotaOf, turnsOf } from '#loadtest/generate/shares.ts'
import { sumExchanges } from '#loadtest/ledger/exchange-ledger.ts'
import { type ExchangeReport, exchangeFaultsMax } from '#loadtest/ledger/exchange-report.ts'
import { LatencyHistogram } from '#loadtest/ledger/latency.ts'
import { type ExchangeKind, type LoadOptions, segmentsOf } from '#loadtest/options/load-options.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { PenstockError } from '#schemas/errors.ts'
import { CommandsExchange } from './commands.ts'
import { DesiredExchange } from './desired.ts'
import type { DeviceExchange, ExchangeShared } from './device-exchange.ts'
import { MethodsExchange } from './methods.ts'
import { ReportedExchange } from './reported.ts'
import { ServiceCalls } from './service-calls.ts'

type MakeExchange = new (identity: DeviceIdentity, index: number, shared: ExchangeShared) => DeviceExchange

const kinds = {
  reported: ReportedExchange,
  desired: DesiredExchange,
  methods: MethodsExchange,
  commands: CommandsExchange,
} as const satisfies Record<ExchangeKind, MakeExchange>

const readBytes = 64 * 1024
const tickMs = 1
const drainTickMs = 5
const pingMs = 20_000
/** Connects under way at once: below every default accept backlog. */
const connectingMax = 100
/** Questions in the end under way at once. */
const finishingMax = 16

export class ExchangeGenerator {
  readonly #options: LoadOptions
  readonly #slice: GeneratorSlice
  readonly #devices: readonly DeviceExchange[]
  readonly #quota: number
  readonly #schedule: RateSchedule | undefined
  readonly #turns: TurnOrder
  readonly #shared: ExchangeShared
  readonly #drift = new LatencyHistogram()
  #pingTimer: NodeJS.Timeout | undefined
  #ready = 0
  #startUs = 0
  #scheduled = 0
  #isAborted = false

  constructor(options: LoadOptions, slice: GeneratorSlice) {
    const { kind, service } = options
    if (kind === 'telemetry' || service === undefined)
      throw new PenstockError('LOADTEST_OPTIONS_INVALID', `workload ${options.workload}: is not for this generator`)
    this.#options = options
    this.#slice = slice
    const { share, turns } = turnsOf(options, slice)
    this.#turns = turns
    const segments = segmentsOf(options)
    this.#schedule = segments && new RateSchedule(segments, share)
    this.#shared = this.#sharedOf(new ServiceCalls(service, options))
    const identityOf = deviceIdentities(options)
    const indexes: number[] = []
    for (let index = slice.first; index < options.connections; index += slice.step) indexes.push(index)
    this.#devices = indexes.map((index) => new kinds[kind](identityOf(index), index, this.#shared))
    this.#quota = indexes.reduce((sum, index) => sum + quotaOf(options, index), 0)
  }

  /** Opens all connections; all devices listen then. @throws LOADTEST_TARGET_UNREACHABLE if not all do in time */
  async connect(): Promise<void> {
    const { connectRate, connectMsMax, url } = this.#options
    const beganUs = nowUs()
    const count = this.#devices.length
    const dueUs = (device: number) =>
      connectRate === 0 ? beganUs : beganUs + ((this.#slice.first + device * this.#slice.step) / connectRate) * 1e6
    const deadlineUs = dueUs(count - 1) + connectMsMax * 1000
    this.#pingTimer = setInterval(() => {
      for (const device of this.#devices) device.ping()
    }, pingMs)
    let begun = 0
    while (this.#ready < count) {
      while (begun < count && begun - this.#ready < connectingMax && dueUs(begun) <= nowUs())
        this.#devices[begun++]?.open()
      if (nowUs() > deadlineUs || this.#isAborted) {
        this.close()
        const { lastFault } = this.#shared.counters
        throw new PenstockError(
          'LOADTEST_TARGET_UNREACHABLE',
          `${this.#ready} of ${count} devices listen at ${url} after ${Math.round((nowUs() - beganUs) / 1000)} ms; last fault: ${lastFault || 'none'}`,
        )
      }
      await wait(2)
    }
  }

  /** Begins operations from `startAtMs` (UTC) on, drains, disconnects and reports. */
  async run(startAtMs: number): Promise<GeneratorReport> {
    this.#startUs = startAtMs * 1000
    while (nowUs() < this.#startUs && !this.#isAborted) await wait(tickMs)
    const cost = await measured(() => this.#send())
    const sendMs = nowUs() / 1000 - startAtMs
    const atStop = this.progress()
    await this.#drain()
    const consumedMs = nowUs() / 1000 - startAtMs
    await this.#finish()
    const progress = this.progress()
    this.close()
    const none = new LatencyHistogram().snapshot()
    return {
      ...progress,
      atStop,
      sendMs,
      consumedMs,
      ledgers: [],
      exchange: this.#report(),
      acknowledged: none,
      acknowledgedRaw: none,
      sendDelay: none,
      drift: this.#drift.snapshot(),
      counters: this.#shared.counters,
      acknowledgedOutOfOrder: 0,
      acknowledgedUnexpected: 0,
      ...cost,
    }
  }

  /** Begins nothing more; what is under way is still waited for. */
  abort(): void {
    this.#isAborted = true
  }

  close(): void {
    clearInterval(this.#pingTimer)
    for (const device of this.#devices) device.close()
    this.#shared.calls.close()
  }

  progress(): GeneratorProgress {
    return {
      offered: this.#scheduled,
      sent: this.#sum(({ ledger }) => ledger.sent),
      settled: this.#sum(({ ledger }) => ledger.settled),
      open: this.#sum(({ isOpen }) => Number(isOpen)),
    }
  }

  interval(): GeneratorInterval {
    const acknowledgedRecent = this.#shared.answered.takeRecent()
    return { ...this.progress(), atMs: (nowUs() - this.#startUs) / 1000, acknowledgedRecent }
  }

  async #send(): Promise<void> {
    const { seconds } = this.#options
    const endUs = this.#startUs + seconds * 1e6
    const events = this.#events()
    while (!this.#isAborted) {
      const now = nowUs()
      if (events[0] && now >= this.#startUs + events[0].atSeconds * 1e6) events.shift()?.act()
      if (this.#schedule) this.#scheduleUntil(Math.min(now, endUs), this.#schedule)
      if (now >= endUs || (this.#quota > 0 && this.#scheduled >= this.#quota)) break
      await wait(tickMs)
    }
    if (this.#isAborted) for (const device of this.#devices) device.isStopped = true
  }

  /** What happens to connections while operations begin, in order. */
  #events(): { readonly atSeconds: number; readonly act: () => void }[] {
    const { storms, warmUpSeconds } = this.#options
    const forget = () => {
      for (const histogram of [this.#shared.answered, this.#shared.arrived, this.#drift]) histogram.reset()
    }
    const events = [
      ...(warmUpSeconds > 0 ? [{ atSeconds: warmUpSeconds, act: forget }] : []),
      ...storms.map(({ atSeconds, share }) => ({
        atSeconds,
        act: () => {
          for (const device of this.#devices.slice(0, Math.ceil(this.#devices.length * share))) device.drop()
        },
      })),
    ]
    return events.sort((a, b) => a.atSeconds - b.atSeconds)
  }

  #scheduleUntil(atUs: number, schedule: RateSchedule): void {
    const { burst } = this.#options
    const atS = (atUs - this.#startUs) / 1e6
    const target = Math.min(this.#quota, schedule.dueAt(atS))
    for (; this.#scheduled < target; this.#scheduled++) {
      const device = this.#devices[this.#turns.deviceOf(Math.floor(this.#scheduled / burst))]
      this.#drift.add(Math.max(0, (atS - schedule.secondsOf(this.#scheduled)) * 1e6), 1)
      if (!device) continue
      device.due++
      device.pump()
    }
  }

  /** What is due and not begun when its time is over is left; what is under way then has as long again, or it would count as lost. */
  async #drain(): Promise<void> {
    await this.#untilDrained()
    for (const device of this.#devices) device.isStopped = true
    await this.#untilDrained()
  }

  async #untilDrained(): Promise<void> {
    const deadlineUs = nowUs() + this.#options.drainMsMax * 1000
    while (nowUs() < deadlineUs && !this.#devices.every(({ isDrained }) => isDrained)) await wait(drainTickMs)
  }

  async #finish(): Promise<void> {
    const waiting = [...this.#devices]
    const work = async (): Promise<void> => {
      for (let device = waiting.pop(); device; device = waiting.pop()) await device.finish()
    }
    await Promise.all(Array.from({ length: finishingMax }, work))
  }

  #report(): ExchangeReport {
    const { answered, arrived, reasons } = this.#shared
    return {
      counts: sumExchanges(this.#devices.map(({ ledger }) => ledger.counts())),
      reasons: Object.fromEntries(reasons),
      answered: answered.snapshot(),
      arrived: arrived.snapshot(),
      faults: this.#devices
        .flatMap(({ ledger, deviceId }) => ledger.faults().map((fault) => `${deviceId}: ${fault}`))
        .slice(0, exchangeFaultsMax),
    }
  }

  #sharedOf(calls: ServiceCalls): ExchangeShared {
    const { protocol, qos, bodyBytes, window, seed } = this.#options
    const schedule = this.#schedule
    return {
      sockets: new SocketFactory(this.#options, readBytes),
      protocol,
      qos,
      counters: { opened: 0, lost: 0, refused: 0, connectedLate: 0, lastFault: '' },
      random: seededRandom(seed + this.#slice.first).next,
      calls,
      answered: new LatencyHistogram(),
      arrived: new LatencyHistogram(),
      reasons: new Map(),
      bodyBytes,
      window,
      intendedAtUs: (index, number) => {
        const device = (index - this.#slice.first) / this.#slice.step
        const { burst } = this.#options
        const turn = this.#turns.turnOf(device, Math.floor(number / burst)) * burst + (number % burst)
        return this.#startUs + (schedule?.secondsOf(turn) ?? 0) * 1e6
      },
      onReady: () => {
        this.#ready++
      },
    }
  }

  #sum(value: (device: DeviceExchange) => number): number {
    return this.#devices.reduce((sum, device) => sum + value(device), 0)
  }
}
