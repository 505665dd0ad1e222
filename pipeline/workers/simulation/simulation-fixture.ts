/**
 * One run of the real worker code in a simulated world: virtual clock, memory log, simulated warehouse, processes that are
 * killed, paused and started anew, and whose wall clocks are set. The seed decides everything, so a run that fails can be repeated.
 */
import { setImmediate } from 'node:timers/promises'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { metricsTable } from '#schemas/metrics.ts'
import type { ProtocolStep } from '../delivery.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { startWorker, type Worker } from '../worker.ts'
import { keyOf, messagesOf, simulatedBatch, unreadableBatch } from './simulated-batch.ts'
import { type CommitFaults, SimulatedProcess } from './simulated-process.ts'
import { SimulatedWarehouse } from './simulated-warehouse.ts'

export interface SimulationResult {
  readonly seed: number
  /** What went wrong; empty if every batch is stored exactly once and in order. */
  readonly faults: readonly string[]
  readonly batches: number
  readonly kills: number
  readonly pauses: number
  readonly clockSets: number
  /** How often the log forgot all positions. */
  readonly forgotten: number
  /** How often the log was deleted and made anew. */
  readonly madeAnew: number
  readonly inserts: number
}

const insertBeginMsMax = 2_000
const insertMsMax = 3_000
const faultsMs = 20_000
const endMs = 1_000_000
const sessionMs = 2_000
const group = 'workers'
const stepsMax = 500_000

export interface PlantedBug {
  readonly skipStep?: ProtocolStep
  /** False: the log takes commits of older generations. */
  readonly logFences?: boolean
  /** True: requests to the warehouse are mostly lost, late or burnt, and processes live long. */
  readonly warehouseStorm?: boolean
  /** True: what the sink refuses is mended and broken again and again. */
  readonly mendingStorm?: boolean
  /** True: the log forgets positions again and again. */
  readonly forgettingStorm?: boolean
  /** False: a log that was made anew looks like the one before. */
  readonly logIds?: boolean
  /** True: workers measure durations with the wall clock, which is set now and then. */
  readonly wallClockOnly?: boolean
}

/** Runs the world of `seed` to its end. */
export async function simulate(seed: number, bug: PlantedBug = {}): Promise<SimulationResult> {
  return await new World(seed, bug).run()
}

interface AppendedBatch {
  readonly partition: number
  readonly offsets: readonly number[]
  readonly messageCount: number
}

const messagesPerBatchMax = 6

class World {
  readonly #seed: number
  readonly #skipSteps: ReadonlySet<ProtocolStep>
  readonly #random: SeededRandom
  readonly #clock = virtualClock()
  readonly #store: MemoryStore
  readonly #log: MemoryLog
  readonly #logFences: boolean
  readonly #logIds: boolean
  readonly #mendingStorm: boolean
  readonly #wallClockOnly: boolean
  readonly #forgettingStorm: boolean
  readonly #warehouse: SimulatedWarehouse
  /** By id. */
  readonly #appended: AppendedBatch[] = []
  /** Keys of messages that the sink refuses, and ids of batches that nobody can read. */
  readonly #poison = new Set<string>()
  /** Of these, the ones that it refuses at the moment: an operator may mend what was wrong. */
  readonly #refused = new Set<string>()
  readonly #unreadable = new Set<number>()
  /** Keys of messages at which a view over the table fails; that makes no letter of them. */
  readonly #viewPoison = new Set<string>()
  /** Keys of messages that became letters. */
  readonly #letters = new Set<string>()
  /** Keys of messages that are rows or letters, as far as the first `rangesSeen` ranges say. */
  readonly #settled = new Set<string>()
  /** Of these, and beside them, the ones that a log held when it was deleted: nobody promises any more that they become rows. */
  readonly #excused = new Set<string>()
  #rangesSeen = 0
  readonly #running = new Map<SimulatedProcess, Worker | undefined>()
  readonly #killShare: number
  readonly #pauseShare: number
  readonly #clockSetShare: number
  readonly #commitLossShare: number
  readonly #repeatShare: number
  #calm = false
  #kills = 0
  #refusals = 0
  #pauses = 0
  #clockSets = 0
  #forgotten = 0
  #madeAnew = 0
  readonly #faults: string[] = []

  constructor(seed: number, bug: PlantedBug) {
    const { skipStep, logFences = true, warehouseStorm = false, mendingStorm = false } = bug
    const { wallClockOnly = false, forgettingStorm = false, logIds = true } = bug
    this.#mendingStorm = mendingStorm
    this.#forgettingStorm = forgettingStorm
    this.#wallClockOnly = wallClockOnly
    this.#seed = seed
    this.#skipSteps = new Set(skipStep ? [skipStep] : [])
    this.#random = seededRandom(seed)
    const random = this.#random
    // Each kind of fault is sometimes absent, so that others are seen alone, and in a storm all are frequent.
    const storm = random.chance(0.2) ? 4 : 1
    const share = (max: number) => (random.chance(0.3) ? 0 : random.next() * max * storm)
    this.#killShare = warehouseStorm ? 0 : mendingStorm ? 0.05 : share(0.02)
    this.#pauseShare = warehouseStorm ? 0 : share(0.02)
    this.#clockSetShare = share(0.02)
    this.#commitLossShare = share(0.1)
    this.#repeatShare = share(0.1)
    this.#store = new MemoryStore('simulated', random.integer(1, 3))
    this.#log = new MemoryLog({ store: this.#store, clock: this.#clock })
    this.#logFences = logFences
    this.#logIds = logIds
    this.#warehouse = new SimulatedWarehouse({
      clock: this.#clock,
      random,
      faults: warehouseStorm
        ? { lossShare: 0.4, burnShare: 0.4 }
        : { lossShare: Math.min(0.7, share(0.3)), burnShare: share(0.1) },
      poison: this.#refused,
      viewPoison: this.#viewPoison,
      insertMsMax,
      tokenMsMax: insertBeginMsMax + insertMsMax,
      requestMsMax: 1_000,
    })
  }

  async run(): Promise<SimulationResult> {
    const random = this.#random
    const batchCount = random.integer(5, 60)
    const isClean = !this.#mendingStorm && random.chance(0.5)
    const poisonShare = this.#forgettingStorm || isClean ? 0 : random.next() * 0.3
    const viewPoisonShare = random.chance(0.5) ? 0 : random.next() * 0.3
    const unreadableShare = this.#forgettingStorm || random.chance(0.7) ? 0 : 0.1
    for (let id = 0; id < batchCount; id++) {
      if (random.chance(unreadableShare)) this.#unreadable.add(id)
      for (let index = 0; index < messagesPerBatchMax; index++)
        if (random.chance(poisonShare)) this.#poison.add(keyOf({ id, index }))
      for (let index = 0; index < messagesPerBatchMax; index++)
        if (random.chance(viewPoisonShare)) this.#viewPoison.add(keyOf({ id, index }))
    }
    for (const key of this.#poison) this.#refused.add(key)
    if (this.#mendingStorm)
      for (let atMs = 0; atMs < faultsMs * 1.5; atMs += 2_000) this.#at(atMs, () => this.#mend(atMs % 4_000 > 0))
    else if (random.chance(0.3)) this.#at(random.integer(0, faultsMs), () => this.#mend(true))
    for (let id = 0; id < batchCount; id++) {
      this.#at(random.integer(0, faultsMs), () => void this.#append())
    }
    for (let index = random.integer(1, 3); index > 0; index--) this.#start()
    for (let index = random.integer(0, 4); index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => this.#start())
    for (let index = random.integer(0, 4); index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => this.#stopOne())
    for (let index = this.#forgettingStorm ? 0 : random.integer(0, 2); index > 0; index--) this.#outage()
    // Of a batch that is settled message by message, rows alone do not say how far it is: that ends the worker, with the reason.
    const forgets = this.#poison.size + this.#unreadable.size + this.#refusals === 0 && random.chance(0.5)
    for (let index = this.#forgettingStorm ? 10 : forgets ? random.integer(1, 3) : 0; index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => this.#forgetPositions())
    // What the old log held may become rows, letters or nothing; which of them is not asked of bad ones, too.
    if (!forgets && !this.#forgettingStorm && this.#poison.size + this.#unreadable.size === 0 && random.chance(0.5))
      this.#at(random.integer(0, faultsMs), () => this.#makeAnew())
    this.#at(faultsMs * 1.5, () => this.#calmDown())
    await this.#turn()
    this.#check(batchCount)
    return {
      seed: this.#seed,
      faults: this.#faults,
      batches: batchCount,
      kills: this.#kills,
      pauses: this.#pauses,
      clockSets: this.#clockSets,
      forgotten: this.#forgotten,
      madeAnew: this.#madeAnew,
      inserts: this.#warehouse.ranges.length,
    }
  }

  async #turn(): Promise<void> {
    for (let step = 0; step < stepsMax; step++) {
      // Everything that follows from the last moment happens before the next one.
      await setImmediate()
      if (this.#calm && this.#isDelivered()) return
      if (!this.#clock.step(endMs)) return
    }
    this.#faults.push('the run does not end')
  }

  async #append(): Promise<void> {
    const id = this.#appended.length
    const partition = this.#random.integer(0, this.#log.partitionCount - 1)
    const enqueuedAtMs = this.#clock.nowMs()
    const messageCount = this.#random.integer(1, messagesPerBatchMax)
    const stamp: BatchStamp = {
      schemaVersion: 1,
      edgeId: 'edge',
      epoch: 1,
      sequence: this.#appended.filter((other) => other.partition === partition).length,
      messageCount,
      enqueuedAtMsFirst: enqueuedAtMs,
      enqueuedAtMsLast: enqueuedAtMs,
    }
    const offsets: number[] = []
    this.#appended.push({ partition, offsets, messageCount })
    const value = this.#unreadable.has(id)
      ? unreadableBatch(messageCount)
      : simulatedBatch(id, messageCount, enqueuedAtMs)
    const append = async () => {
      offsets.push(await this.#log.append(partition, stamp, value))
    }
    // An append whose answer is lost is repeated, and the first one may even arrive after others.
    const { id: logId } = this.#store
    const again = () => {
      // Whether the old log's was a row already, the new one can't know.
      if (this.#store.id === logId) void append()
    }
    if (this.#random.chance(this.#repeatShare)) this.#at(this.#random.integer(0, 3_000), again)
    await append()
  }

  #start(): void {
    const atGate = (gated: SimulatedProcess) => this.#atGate(gated)
    const process = new SimulatedProcess(this.#clock, this.#random, atGate, this.#wallClockOnly)
    this.#running.set(process, undefined)
    const log = new MemoryLog({ store: this.#store, clock: process.clock, sessionMs })
    const faults: CommitFaults = {
      lossShare: this.#calm ? 0 : this.#commitLossShare,
      ...(this.#logFences
        ? {}
        : { afterStale: (partition, position) => this.#store.positions.set(`${group} ${partition}`, position) }),
    }
    void startWorker({
      log: process.log(log, faults, this.#logIds),
      group,
      destination: process.sink(this.#warehouse),
      deadLetters: process.deadLetters({
        put: async (letter) => this.#putLetter(letter),
        // Positions are forgotten only where there are no letters.
        lettered: async () => new Map(),
      }),
      logger: silentLogger,
      metrics: new Metrics(metricsTable),
      insertDelayMs: 100,
      clock: process.clock,
      random: this.#random.next,
      insertBeginMsMax,
      skipSteps: this.#skipSteps,
    }).then((worker) => {
      if (this.#running.has(process)) this.#running.set(process, worker)
      worker.finished.catch((error: unknown) => {
        this.#faults.push(`a worker failed: ${isPenstockError(error) ? error.code : ''} ${String(error)}`)
      })
    })
  }

  #atGate(process: SimulatedProcess): void {
    if (this.#calm || process.state !== 'running') return
    if (this.#random.chance(this.#killShare)) this.#kill(process)
    else if (this.#random.chance(this.#pauseShare)) this.#pause(process)
    else if (this.#random.chance(this.#clockSetShare)) this.#setClock(process)
  }

  #kill(process: SimulatedProcess): void {
    this.#kills++
    process.kill()
    this.#running.delete(process)
    this.#at(this.#random.integer(0, 3_000), () => this.#start())
  }

  #pause(process: SimulatedProcess): void {
    this.#pauses++
    process.pause()
    // Away for longer than its session it comes back as a zombie.
    this.#at(this.#random.integer(10, 3 * (insertBeginMsMax + insertMsMax)), () => process.resume())
  }

  #setClock(process: SimulatedProcess): void {
    this.#clockSets++
    const jumpMsMax = 3 * (insertBeginMsMax + insertMsMax)
    process.setClock(this.#random.integer(-jumpMsMax, jumpMsMax))
  }

  /**
   * The log forgets the group's positions; who delivers at that moment may go on or not. Those of a partition that has no rows yet are
   * kept: that nothing is on its way there, only the long time says after which a real log forgets.
   */
  #forgetPositions(): void {
    this.#forgotten++
    for (const partition of new Set(this.#warehouse.ranges.map(({ range }) => range.partition)))
      this.#store.positions.delete(`${group} ${partition}`)
    for (const [process] of this.#running) if (this.#random.chance(0.5)) this.#kill(process)
  }

  /** Somebody deletes the log and makes another one; who delivers at that moment may go on or not. */
  #makeAnew(): void {
    this.#madeAnew++
    for (const [id, { offsets, messageCount }] of this.#appended.entries())
      for (let index = 0; offsets.length > 0 && index < messageCount; index++) this.#excused.add(keyOf({ id, index }))
    this.#store.makeAnew()
    for (const [process] of this.#running) if (this.#random.chance(0.3)) this.#kill(process)
  }

  #stopOne(): void {
    const candidates = [...this.#running].filter(([process, worker]) => worker && process.state === 'running')
    const [process, worker] = candidates[this.#random.integer(0, candidates.length - 1)] ?? []
    if (!process || !worker) return
    this.#running.delete(process)
    void worker.close()
    this.#at(this.#random.integer(0, 3_000), () => this.#start())
  }

  #mend(mended: boolean): void {
    if (mended) this.#refused.clear()
    else for (const key of this.#poison) this.#refused.add(key)
  }

  #outage(): void {
    const beginsMs = this.#random.integer(0, faultsMs)
    const kind = (['down', 'refusesAll', 'viewsFail', 'targetMissing'] as const)[this.#random.below(4)] ?? 'down'
    if (kind === 'refusesAll') this.#refusals++
    this.#at(beginsMs, () => {
      this.#warehouse[kind] = true
    })
    this.#at(beginsMs + this.#random.integer(100, 20_000), () => {
      this.#warehouse[kind] = false
    })
  }

  #calmDown(): void {
    this.#calm = true
    this.#warehouse.faults = { lossShare: 0, burnShare: 0 }
    this.#warehouse.down = false
    this.#warehouse.refusesAll = false
    this.#warehouse.viewsFail = false
    this.#warehouse.targetMissing = false
    // Zombies that were members when paused come back on their own; one more worker makes sure that someone lives.
    this.#start()
  }

  #at(atMs: number, action: () => void): void {
    this.#clock.after(atMs, action)
  }

  #putLetter({ partition, record: { offset, stamp, value }, messageFirst }: UndeliverableRecord): void {
    const id = this.#appended.findIndex((batch) => batch.partition === partition && batch.offsets.includes(offset))
    for (let index = messageFirst; index < messageFirst + stamp.messageCount; index++)
      this.#letters.add(keyOf({ id, index }))
    if (this.#unreadable.has(id)) return
    const [head, ...others] = messagesOf([value])
    if (head?.id !== id || head.index !== messageFirst || others.length !== stamp.messageCount - 1)
      this.#faults.push(`the letter of batch ${id} does not hold what it says`)
  }

  #isDelivered(): boolean {
    // Asked at every step, so only what is new is looked at.
    for (; this.#rangesSeen < this.#warehouse.ranges.length; this.#rangesSeen++)
      for (const message of this.#warehouse.ranges[this.#rangesSeen]?.messages ?? []) this.#settled.add(keyOf(message))
    for (const key of this.#letters) this.#settled.add(key)
    const open = this.#appended.reduce((sum, { messageCount }) => sum + messageCount, 0) - this.#settled.size
    if (open <= 0 || this.#excused.size === 0) return open <= 0
    return this.#messages().every(({ key }) => this.#settled.has(key) || this.#excused.has(key))
  }

  #messages(): { readonly id: number; readonly key: string }[] {
    return this.#appended.flatMap(({ messageCount }, id) =>
      Array.from({ length: messageCount }, (_, index) => ({ id, key: keyOf({ id, index }) })),
    )
  }

  #check(batchCount: number): void {
    if (this.#appended.length !== batchCount) this.#faults.push('not every batch was appended')
    const times = new Map<string, number>()
    for (const { range, messages } of this.#warehouse.ranges) {
      if (messages.length !== range.messageCount) this.#faults.push(`range ${range.first} does not count its rows`)
      let before = range.first - 1
      let last = -1
      for (const message of messages) {
        const { id, index } = message
        times.set(keyOf(message), (times.get(keyOf(message)) ?? 0) + 1)
        const batch = this.#appended[id]
        const offset = batch?.offsets.find((one) => one >= before && one <= range.last && one >= range.first)
        if (batch?.partition !== range.partition || offset === undefined || (offset === before && index <= last))
          this.#faults.push(`message ${keyOf(message)} is stored under another position`)
        else before = offset
        last = index
      }
    }
    const withoutReason = new Set<number>()
    for (const { id, key } of this.#messages()) {
      const count = times.get(key) ?? 0
      const letter = this.#letters.has(key)
      if (count > 1) this.#faults.push(`message ${key} is stored ${count} times`)
      if (count === 1 && letter) this.#faults.push(`message ${key} is stored and a dead letter`)
      if (count === 0 && !letter && !this.#excused.has(key)) this.#faults.push(`message ${key} is lost`)
      const hasReason = this.#poison.has(key) || this.#unreadable.has(id) || this.#warehouse.refusedAtCommit.has(key)
      if (letter && !hasReason) withoutReason.add(id)
    }
    // A sink that refuses everything, but not at the two moments when it is asked, can't be told from a bad message.
    if (withoutReason.size > this.#refusals * this.#log.partitionCount)
      this.#faults.push(`messages of ${withoutReason.size} batches are dead letters without being bad`)
  }
}
