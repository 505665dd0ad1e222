/**
 * One log, two destinations with a group each, and routes that change: an endpoint that is sent to at least once and a table that
 * stores exactly once. Every process works for both, and is killed and paused at will. The seed decides everything.
 */
import { setImmediate } from 'node:timers/promises'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { messagesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { ProtocolStep } from '../delivery.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { startWorker } from '../worker.ts'
import { keyOf, simulatedBatch } from './simulated-batch.ts'
import { type Arrival, SimulatedEndpoint } from './simulated-endpoint.ts'
import { type CommitFaults, SimulatedProcess } from './simulated-process.ts'
import { fateOf, SimulatedRoutes } from './simulated-routes.ts'
import { SimulatedWarehouse } from './simulated-warehouse.ts'

export interface RoutedBug {
  readonly skipStep?: ProtocolStep
  /** False: the log takes commits of older generations. */
  readonly logFences?: boolean
}

export interface RoutedResult {
  readonly seed: number
  readonly faults: readonly string[]
  readonly messages: number
  readonly kills: number
  readonly routeChanges: number
  readonly repeated: number
  readonly letters: number
  /** Runs in which the endpoint was away until the table had everything. */
  readonly away: number
}

/** Runs the world of `seed` to its end. */
export async function simulateRouted(seed: number, bug: RoutedBug = {}): Promise<RoutedResult> {
  return await new RoutedWorld(seed, bug).run()
}

const insertBeginMsMax = 2_000
const insertMsMax = 3_000
const faultsMs = 20_000
const sessionMs = 2_000
const stepsMax = 500_000
const messagesPerBatchMax = 9
const groups = { endpoint: 'endpoint', table: 'table' } as const

class RoutedWorld {
  readonly #seed: number
  readonly #bug: RoutedBug
  readonly #random: SeededRandom
  readonly #clock = virtualClock()
  readonly #store: MemoryStore
  readonly #log: MemoryLog
  readonly #endpoint: SimulatedEndpoint
  readonly #table: SimulatedWarehouse
  readonly #routes: SimulatedRoutes
  readonly #appended: { readonly key: string; readonly index: number }[] = []
  #batchCount = 0
  readonly #poison = new Set<string>()
  readonly #letters = { endpoint: new Set<string>(), table: new Set<string>() }
  readonly #processes = new Set<SimulatedProcess>()
  readonly #killShare: number
  readonly #pauseShare: number
  readonly #commitLossShare: number
  /** True: the endpoint is away until the table has everything. */
  readonly #isAway: boolean
  #calm = false
  #kills = 0
  #routeChanges = 0
  readonly #faults: string[] = []

  constructor(seed: number, bug: RoutedBug) {
    this.#seed = seed
    this.#bug = bug
    const random = seededRandom(seed)
    this.#random = random
    const share = (max: number) => (random.chance(0.3) ? 0 : random.next() * max)
    this.#killShare = share(0.02)
    this.#pauseShare = share(0.02)
    this.#commitLossShare = share(0.1)
    this.#isAway = random.chance(0.2)
    this.#store = new MemoryStore('simulated', random.integer(1, 3))
    this.#log = new MemoryLog({ store: this.#store, clock: this.#clock })
    this.#routes = new SimulatedRoutes(random.integer(0, 2))
    const faults = { lossShare: share(0.4), namesRefused: random.chance(0.5), messagesMax: random.integer(1, 4) }
    const isRefused = ({ body }: { readonly body: Uint8Array }) => this.#poison.has(Buffer.from(body).toString())
    this.#endpoint = new SimulatedEndpoint(this.#clock, random, faults, isRefused)
    this.#table = new SimulatedWarehouse({
      clock: this.#clock,
      random,
      faults: { lossShare: share(0.3), burnShare: share(0.1) },
      poison: this.#poison,
      insertMsMax,
      tokenMsMax: insertBeginMsMax + insertMsMax,
      requestMsMax: 1_000,
    })
  }

  async run(): Promise<RoutedResult> {
    const random = this.#random
    this.#endpoint.down = this.#isAway
    const poisonShare = random.chance(0.5) ? 0 : random.next() * 0.3
    const batchCount = random.integer(3, 30)
    for (let index = 0; index < batchCount; index++)
      this.#at(random.integer(0, faultsMs), () => void this.#append(poisonShare))
    for (let index = random.integer(0, 20); index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => {
        this.#routeChanges++
        this.#routes.change()
      })
    for (let index = random.integer(1, 3); index > 0; index--) this.#start()
    if (!this.#isAway) for (let index = random.integer(0, 2); index > 0; index--) this.#outage()
    this.#at(faultsMs * 1.5, () => this.#calmDown())
    await this.#turn(() => this.#batchCount === batchCount && this.#isDelivered('table'))
    // Only now does the endpoint come back: it has cost the table nothing.
    this.#endpoint.down = false
    this.#endpoint.holds = false
    await this.#turn(() => this.#isDelivered('endpoint'))
    this.#checkEndpoint()
    this.#checkTable()
    const arrived = new Set(this.#endpoint.arrivals.map(({ message }) => message.id))
    return {
      seed: this.#seed,
      faults: this.#faults,
      messages: this.#appended.length,
      kills: this.#kills,
      routeChanges: this.#routeChanges,
      repeated: this.#endpoint.arrivals.length - arrived.size,
      letters: this.#letters.endpoint.size + this.#letters.table.size,
      away: this.#isAway ? 1 : 0,
    }
  }

  async #turn(isDone: () => boolean): Promise<void> {
    for (let step = 0; step < stepsMax; step++) {
      await setImmediate()
      if (this.#calm && isDone()) return
      if (this.#faults.length > 0 || !this.#clock.step(2_000_000)) return
    }
    this.#faults.push('the run does not end')
  }

  async #append(poisonShare: number): Promise<void> {
    const id = this.#batchCount++
    const partition = this.#random.integer(0, this.#log.partitionCount - 1)
    const enqueuedAtMs = this.#clock.nowMs()
    const messageCount = this.#random.integer(1, messagesPerBatchMax)
    for (let index = 0; index < messageCount; index++) {
      const key = keyOf({ id, index })
      this.#appended.push({ key, index })
      if (this.#random.chance(poisonShare)) this.#poison.add(key)
    }
    const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
    const stamp: BatchStamp = { schemaVersion: 1, edgeId: 'edge', epoch: 1, sequence: id, messageCount, ...times }
    await this.#log.append(partition, stamp, simulatedBatch(id, messageCount, enqueuedAtMs))
  }

  #start(): void {
    const process = new SimulatedProcess(this.#clock, this.#random, (gated) => this.#atGate(gated), false)
    this.#processes.add(process)
    const { skipStep, logFences = true } = this.#bug
    for (const kind of ['endpoint', 'table'] as const) {
      const group = groups[kind]
      const faults: CommitFaults = {
        lossShare: this.#calm ? 0 : this.#commitLossShare,
        ...(logFences
          ? {}
          : { afterStale: (partition, position) => this.#store.positions.set(`${group} ${partition}`, position) }),
      }
      const log = new MemoryLog({ store: this.#store, clock: process.clock, sessionMs })
      void startWorker({
        log: process.log(log, faults, true),
        group,
        destination: kind === 'table' ? process.sink(this.#table) : process.endpoint(this.#endpoint),
        selector: this.#routes,
        letterEndpoint: kind,
        deadLetters: process.deadLetters({
          put: async (letter) => this.#putLetter(kind, letter),
          lettered: async () => new Map(),
        }),
        logger: silentLogger,
        metrics: new Metrics(metricsTable),
        insertDelayMs: 100,
        clock: process.clock,
        random: this.#random.next,
        insertBeginMsMax,
        skipSteps: new Set(skipStep ? [skipStep] : []),
      }).then((worker) =>
        worker.finished.catch((error: unknown) => {
          this.#faults.push(`a worker failed: ${isPenstockError(error) ? error.code : ''} ${String(error)}`)
        }),
      )
    }
  }

  #atGate(process: SimulatedProcess): void {
    if (this.#calm || process.state !== 'running') return
    if (this.#random.chance(this.#killShare)) {
      this.#kills++
      process.kill()
      this.#processes.delete(process)
      this.#at(this.#random.integer(0, 3_000), () => this.#start())
    } else if (this.#random.chance(this.#pauseShare)) {
      process.pause()
      this.#at(this.#random.integer(10, 3 * (insertBeginMsMax + insertMsMax)), () => process.resume())
    }
  }

  #outage(): void {
    const kind = this.#random.chance(0.5) ? 'down' : 'holds'
    const beginsMs = this.#random.integer(0, faultsMs)
    this.#at(beginsMs, () => {
      this.#endpoint[kind] = true
    })
    this.#at(beginsMs + this.#random.integer(100, 20_000), () => {
      this.#endpoint[kind] = false
    })
  }

  #calmDown(): void {
    this.#calm = true
    this.#endpoint.faults = { ...this.#endpoint.faults, lossShare: 0 }
    this.#table.faults = { lossShare: 0, burnShare: 0 }
    this.#start()
  }

  #putLetter(kind: 'endpoint' | 'table', { record, endpoint }: UndeliverableRecord): void {
    if (endpoint !== kind) this.#faults.push(`a letter of ${kind} says that it is of ${endpoint}`)
    const messages = messagesOfBatch(record.value)
    if (messages.length !== record.stamp.messageCount) this.#faults.push('a letter does not count its messages')
    for (const { envelope } of messages) this.#letters[kind].add(Buffer.from(envelope.body).toString())
  }

  #isDelivered(kind: 'endpoint' | 'table'): boolean {
    const delivered =
      kind === 'table'
        ? new Set(this.#table.ranges.flatMap(({ messages }) => messages.map(keyOf)))
        : new Set(this.#endpoint.arrivals.map(bodyOf))
    return this.#appended.every(
      ({ key, index }) =>
        !['always', 'unfit'].includes(fateOf(index)) || delivered.has(key) || this.#letters[kind].has(key),
    )
  }

  #at(atMs: number, action: () => void): void {
    this.#clock.after(atMs, action)
  }

  #checkEndpoint(): void {
    const { arrivals } = this.#endpoint
    const arrived = new Set(arrivals.map(bodyOf))
    for (const { key, index } of this.#appended) {
      const isLetter = this.#letters.endpoint.has(key)
      const fate = fateOf(index)
      if (fate === 'always' && !arrived.has(key) && !isLetter) this.#faults.push(`message ${key} is lost`)
      if (fate === 'never' && (arrived.has(key) || isLetter)) this.#faults.push(`message ${key} was never selected`)
      if (fate === 'unfit' && (arrived.has(key) || !isLetter)) this.#faults.push(`message ${key} is no letter`)
      if (isLetter && fate !== 'unfit' && !this.#poison.has(key))
        this.#faults.push(`message ${key} is a letter without being bad`)
    }
    this.#checkIds(arrivals)
    this.#checkOrder(arrivals)
  }

  /** What comes again comes under the same ids, with the same bytes, and of the same range. */
  #checkIds(arrivals: readonly Arrival[]): void {
    const bytesByPlace = new Map<string, string>()
    const rangeByMessage = new Map<string, string>()
    for (const { requestId, message } of arrivals) {
      const bytes = Buffer.from(message.bytes).toString('latin1')
      const place = `${requestId} ${message.id}`
      const [range = '', part = ''] = requestId.split('#')
      if (!/^\d+\+\d+$/.test(part)) this.#faults.push(`request ${requestId} is not named by its messages`)
      if ((bytesByPlace.get(place) ?? bytes) !== bytes) this.#faults.push(`request ${requestId} came with other bytes`)
      bytesByPlace.set(place, bytes)
      const known = `${message.id} ${bytes}`
      if ((rangeByMessage.get(known) ?? range) !== range)
        this.#faults.push(`message ${message.id} came in another range`)
      rangeByMessage.set(known, range)
    }
  }

  /** The first times that messages arrive are in order, of those that every revision selects and nobody refuses. */
  #checkOrder(arrivals: readonly Arrival[]): void {
    const seen = new Set<string>()
    const newest = new Map<number, readonly [offset: number, index: number]>()
    for (const arrival of arrivals) {
      const { partition, message } = arrival
      const { id, offset, index } = message
      if (seen.has(id) || fateOf(index) !== 'always' || this.#poison.has(bodyOf(arrival))) continue
      seen.add(id)
      const [offsetBefore, indexBefore] = newest.get(partition) ?? [-1, -1]
      if (offset < offsetBefore || (offset === offsetBefore && index < indexBefore))
        this.#faults.push(`message ${id} arrives behind ${offsetBefore}/${indexBefore}`)
      newest.set(partition, [offset, index])
    }
  }

  #checkTable(): void {
    const times = new Map<string, number>()
    for (const { messages } of this.#table.ranges)
      for (const message of messages) times.set(keyOf(message), (times.get(keyOf(message)) ?? 0) + 1)
    for (const { key, index } of this.#appended) {
      const count = times.get(key) ?? 0
      const isLetter = this.#letters.table.has(key)
      if (count > 1) this.#faults.push(`message ${key} is stored ${count} times`)
      if (count > 0 && isLetter) this.#faults.push(`message ${key} is stored and a letter`)
      if (fateOf(index) === 'always' && count === 0 && !isLetter) this.#faults.push(`message ${key} is not stored`)
      if (fateOf(index) === 'unfit' && (count > 0 || !isLetter)) this.#faults.push(`message ${key} is no letter`)
      if (fateOf(index) === 'never' && (count > 0 || isLetter)) this.#faults.push(`message ${key} was never selected`)
    }
  }
}

function bodyOf({ message }: Arrival): string {
  return Buffer.from(message.body).toString()
}
