/**
 * The devices of one generator process: connects them, sends by schedule or as fast as they take it, drains, reports.
 *
 * Schedule: message i of this process was to be sent at start + i / rate and belongs to its device ⌊i / burst⌋ mod n (in general:
 * `schedule.ts`). The devices whose turn came since the last tick are consecutive, so a tick costs the bursts due, not the
 * connections held.
 */
import type { ExchangeReport } from '#loadtest/ledger/exchange-report.ts'
import { LatencyHistogram, type LatencySnapshot } from '#loadtest/ledger/latency.ts'
import type { DeviceLedger } from '#loadtest/ledger/ledger.ts'
import { type LoadOptions, segmentsOf } from '#loadtest/options/load-options.ts'
import { seededRandom } from '#runtime/seeded-random.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type ConnectionCounters, type ConnectionShared, DeviceConnection, nowUs } from './device-connection.ts'
import { deviceIdentities } from './device-identities.ts'
import { connectionsOf, dialectsOf } from './dialects.ts'
import { type GeneratorCost, measured } from './measured.ts'
import { RateSchedule, type TurnOrder } from './schedule.ts'
import { type GeneratorSlice, quotaOf, turnsOf } from './shares.ts'

/** Sums of a process while it runs. */
export interface GeneratorProgress {
  /** What the schedule asked for so far; equals `sent` when saturating. */
  readonly offered: number
  readonly sent: number
  readonly settled: number
  readonly open: number
}

/** Progress with what a timeline needs: latencies since the last one, and when it was taken. */
export interface GeneratorInterval extends GeneratorProgress {
  /** Since the first moment of sending. */
  readonly atMs: number
  readonly acknowledgedRecent: LatencySnapshot
}

export interface GeneratorReport extends GeneratorProgress, GeneratorCost {
  /** `offered`, `sent`, `settled` above are of the end; these are of the moment sending stopped. */
  readonly atStop: GeneratorProgress
  /** From the first to the last moment of sending. */
  readonly sendMs: number
  /** From the first moment of sending until the target had taken everything: acknowledged it, or at QoS 0 read it all and closed. */
  readonly consumedMs: number
  readonly ledgers: readonly DeviceLedger[]
  /** Of all kinds but telemetry, whose ledgers are empty. */
  readonly exchange: ExchangeReport | undefined
  /** From the intended moment of sending. */
  readonly acknowledged: LatencySnapshot
  /** From the moment of writing: what a closed-loop tool would show. */
  readonly acknowledgedRaw: LatencySnapshot
  readonly sendDelay: LatencySnapshot
  /** Intended moment → handed to the device's connection: this process's own lateness. */
  readonly drift: LatencySnapshot
  readonly counters: ConnectionCounters
  readonly acknowledgedOutOfOrder: number
  readonly acknowledgedUnexpected: number
}

const writeBytes = 64 * 1024
/** Write buffers of all connections of a process together, when every one of them is held back. */
const writeBytesTotalMax = 128 * 1024 * 1024
const tickMs = 1
const pingMs = 20_000
/** Connects under way at once: below every default accept backlog. */
const connectingMax = 100
/** A connect that begins so much after its moment is late: beyond a few ticks, the target or this process held it back. */
const connectLateUsMax = 50_000

export class Generator {
  readonly #options: LoadOptions
  readonly #slice: GeneratorSlice
  readonly #devices: DeviceConnection[] = []
  readonly #quotas: number[] = []
  readonly #quota: number
  /** Undefined when saturating or only connecting. */
  readonly #schedule: RateSchedule | undefined
  readonly #turns: TurnOrder
  readonly #acknowledged = new LatencyHistogram()
  readonly #acknowledgedRaw = new LatencyHistogram()
  readonly #sendDelay = new LatencyHistogram()
  readonly #drift = new LatencyHistogram()
  readonly #counters: ConnectionCounters = { opened: 0, lost: 0, refused: 0, connectedLate: 0, lastFault: '' }
  readonly #buffers: Buffer[] = []
  readonly #pumpQueue: DeviceConnection[] = []
  #isPumpScheduled = false
  #pingTimer: NodeJS.Timeout | undefined
  #opened = 0
  #startUs = 0
  #scheduled = 0
  #isAborted = false

  constructor(options: LoadOptions, slice: GeneratorSlice) {
    this.#options = options
    this.#slice = slice
    const { share, turns } = turnsOf(options, slice)
    this.#turns = turns
    const segments = segmentsOf(options)
    this.#schedule = segments && new RateSchedule(segments, share)
    const shared = this.#sharedOf()
    const identityOf = deviceIdentities(options)
    for (let index = slice.first; index < options.connections; index += slice.step) {
      this.#devices.push(new DeviceConnection(identityOf(index), index, this.#devices.length, shared))
      this.#quotas.push(quotaOf(options, index))
    }
    this.#quota = this.#quotas.reduce((sum, quota) => sum + quota, 0)
  }

  /** Opens all connections. @throws LOADTEST_TARGET_UNREACHABLE if not all are accepted in time */
  async connect(): Promise<void> {
    const { connectRate, connectMsMax } = this.#options
    const beganUs = nowUs()
    const dueUs = (device: number) => {
      const index = this.#slice.first + device * this.#slice.step
      return connectRate === 0 ? beganUs : beganUs + (index / connectRate) * 1e6
    }
    const count = this.#devices.length
    const deadlineUs = dueUs(count - 1) + connectMsMax * 1000
    // A slow schedule is longer than a keep-alive.
    this.#pingTimer = setInterval(() => this.#ping(), pingMs)
    let begun = 0
    while (this.#opened < count) {
      while (begun < count && begun - this.#opened < connectingMax && dueUs(begun) <= nowUs()) {
        if (connectRate > 0 && nowUs() - dueUs(begun) > connectLateUsMax) this.#counters.connectedLate++
        this.#devices[begun++]?.open()
      }
      if (nowUs() > deadlineUs || this.#isAborted) {
        this.close()
        const { lastFault } = this.#counters
        throw new PenstockError(
          'LOADTEST_TARGET_UNREACHABLE',
          `${this.#opened} of ${count} connections to ${this.#options.url} were accepted in ${Math.round((deadlineUs - beganUs) / 1000)} ms; last fault: ${lastFault || 'none'}`,
        )
      }
      await sleep(2)
    }
  }

  /** Sends from `startAtMs` (UTC) on, drains, disconnects and reports. */
  async run(startAtMs: number): Promise<GeneratorReport> {
    this.#startUs = startAtMs * 1000
    while (nowUs() < this.#startUs && !this.#isAborted) await sleep(tickMs)
    const cost = await measured(() => this.#send())
    const sendMs = nowUs() / 1000 - startAtMs
    const atStop = this.progress()
    await this.#drain()
    const settledMs = nowUs() / 1000 - startAtMs
    await this.#closeInOrder()
    const closedMs = nowUs() / 1000 - startAtMs
    return {
      ...this.progress(),
      atStop,
      sendMs,
      consumedMs: this.#options.qos === 1 ? settledMs : closedMs,
      ledgers: this.#devices.map(({ ledger, deviceId }) => ledger.report(deviceId)),
      exchange: undefined,
      acknowledged: this.#acknowledged.snapshot(),
      acknowledgedRaw: this.#acknowledgedRaw.snapshot(),
      sendDelay: this.#sendDelay.snapshot(),
      drift: this.#drift.snapshot(),
      counters: this.#counters,
      acknowledgedOutOfOrder: this.#sum(({ ledger }) => ledger.acknowledgedOutOfOrder),
      acknowledgedUnexpected: this.#sum(({ ledger }) => ledger.acknowledgedUnexpected),
      ...cost,
    }
  }

  /** Stops sending early; what is in flight is still drained. */
  abort(): void {
    this.#isAborted = true
  }

  close(): void {
    clearInterval(this.#pingTimer)
    for (const device of this.#devices) device.finish()
  }

  progress(): GeneratorProgress {
    const sent = this.#sum(({ ledger }) => ledger.sent)
    return {
      offered: this.#options.rate === 'saturate' ? sent : this.#scheduled,
      sent,
      settled: this.#sum(({ ledger }) => ledger.settledTo),
      open: this.#sum(({ isOpen }) => (isOpen ? 1 : 0)),
    }
  }

  interval(): GeneratorInterval {
    return {
      ...this.progress(),
      atMs: (nowUs() - this.#startUs) / 1000,
      acknowledgedRecent: this.#acknowledged.takeRecent(),
    }
  }

  async #send(): Promise<void> {
    const { rate, seconds, slowReading } = this.#options
    const endUs = this.#startUs + seconds * 1e6
    if (rate === 'saturate') {
      for (const [index, device] of this.#devices.entries()) {
        device.due = this.#quotas[index] ?? 0
        this.#pumpSoon(device)
      }
    }
    const isComplete = () => this.progress().sent >= this.#quota
    const events = this.#events()
    for (let tick = 0; !this.#isAborted; tick++) {
      const now = nowUs()
      if (events[0] && now >= this.#startUs + events[0].atSeconds * 1e6) events.shift()?.act()
      if (this.#schedule) this.#scheduleUntil(Math.min(now, endUs), this.#schedule)
      if (now >= endUs || (this.#options.messages !== undefined && tick % 16 === 0 && isComplete())) break
      await sleep(tickMs)
    }
    for (const device of this.#devices) {
      device.isStopped = rate === 'saturate' || this.#isAborted || device.isStopped
      if (slowReading.length > 0) device.setReading(true)
    }
  }

  /** What happens to connections while sending, in order. */
  #events(): { readonly atSeconds: number; readonly act: () => void }[] {
    const { storms, slowReading, warmUpSeconds } = this.#options
    const devicesOf = (share: number) => this.#devices.slice(0, Math.ceil(this.#devices.length * share))
    const setReading = (share: number, isReading: boolean) => () => {
      for (const device of devicesOf(share)) device.setReading(isReading)
    }
    const histograms = [this.#acknowledged, this.#acknowledgedRaw, this.#sendDelay, this.#drift]
    const forget = () => {
      for (const histogram of histograms) histogram.reset()
    }
    const events = [
      ...(warmUpSeconds > 0 ? [{ atSeconds: warmUpSeconds, act: forget }] : []),
      ...storms.map(({ atSeconds, share }) => ({
        atSeconds,
        // They come back by themselves, in order of their backoff.
        act: () => {
          for (const device of devicesOf(share)) device.drop()
        },
      })),
      ...slowReading.flatMap(({ atSeconds, forSeconds, share }) => [
        { atSeconds, act: setReading(share, false) },
        { atSeconds: atSeconds + forSeconds, act: setReading(share, true) },
      ]),
    ]
    return events.sort((a, b) => a.atSeconds - b.atSeconds)
  }

  /** Raises what is due at `nowUs`, and has it sent in this turn of the event loop: one write a device. */
  #scheduleUntil(atUs: number, schedule: RateSchedule): void {
    const { burst } = this.#options
    const atS = (atUs - this.#startUs) / 1e6
    const target = Math.min(this.#quota, schedule.dueAt(atS))
    while (this.#scheduled < target) {
      const device = this.#devices[this.#turns.deviceOf(Math.floor(this.#scheduled / burst))]
      const count = Math.min(burst - (this.#scheduled % burst), target - this.#scheduled)
      this.#drift.add(Math.max(0, (atS - schedule.secondsOf(this.#scheduled)) * 1e6), count)
      this.#scheduled += count
      if (!device) continue
      device.due += count
      this.#pumpSoon(device)
    }
  }

  async #drain(): Promise<void> {
    const deadlineUs = nowUs() + this.#options.drainMsMax * 1000
    const isBehind = (device: DeviceConnection) => !device.isStopped && device.ledger.sent < device.due
    while (nowUs() < deadlineUs && this.#devices.some((device) => isBehind(device) || !device.isDrained)) await sleep(5)
  }

  /** DISCONNECTs and waits until the target has closed, too: what still lies in sockets is read until then. */
  async #closeInOrder(): Promise<void> {
    this.close()
    const deadlineUs = nowUs() + this.#options.drainMsMax * 1000
    while (nowUs() < deadlineUs && !this.#devices.every(({ isClosed }) => isClosed)) await sleep(5)
  }

  #ping(): void {
    for (const device of this.#devices) device.ping()
  }

  #pumpSoon(device: DeviceConnection): void {
    if (device.isQueued) return
    device.isQueued = true
    this.#pumpQueue.push(device)
    if (this.#isPumpScheduled) return
    this.#isPumpScheduled = true
    setImmediate(() => {
      this.#isPumpScheduled = false
      for (const queued of this.#pumpQueue.splice(0)) {
        queued.isQueued = false
        queued.pump()
      }
    })
  }

  #sum(value: (device: DeviceConnection) => number): number {
    let sum = 0
    for (const device of this.#devices) sum += value(device)
    return sum
  }

  #sharedOf(): ConnectionShared {
    const { qos, bodyBytes, propertyBag, connections, seed } = this.#options
    const schedule = this.#schedule
    const smallest = bodyBytes + propertyBag.length + 512
    const bufferBytes = Math.max(smallest, Math.min(writeBytes, Math.floor(writeBytesTotalMax / connections)))
    const random = seededRandom(seed + this.#slice.first).next
    return {
      qos,
      open: connectionsOf(this.#options, writeBytes),
      speak: dialectsOf(this.#options, random),
      acknowledged: this.#acknowledged,
      acknowledgedRaw: this.#acknowledgedRaw,
      sendDelay: this.#sendDelay,
      intendedAtUs: schedule
        ? (index, sequence) => this.#startUs + schedule.secondsOf(this.#numberOf(index, sequence)) * 1e6
        : undefined,
      random,
      counters: this.#counters,
      takeBuffer: () => this.#buffers.pop() ?? Buffer.allocUnsafeSlow(bufferBytes),
      giveBuffer: (buffer) => this.#buffers.push(buffer),
      pumpSoon: (device) => this.#pumpSoon(device),
      onFirstOpen: () => {
        this.#opened++
      },
    }
  }

  /** Number of a device's message among all that this process sends. */
  #numberOf(index: number, sequence: number): number {
    const { burst } = this.#options
    const device = (index - this.#slice.first) / this.#slice.step
    return this.#turns.turnOf(device, Math.floor(sequence / burst)) * burst + (sequence % burst)
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
