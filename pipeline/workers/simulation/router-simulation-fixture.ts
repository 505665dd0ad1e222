/**
 * The default table and several endpoints of both kinds on one log, by routers of several processes. Documents change whole: routes,
 * endpoints that come, go, are switched off or are made anew under their name. Retention removes what is old; processes are killed and paused
 * between any two steps; endpoints are away, one of them for long. The seed decides everything.
 *
 * What an endpoint must get is said by the revisions that may have decided: a revision may have decided of a message that lay on the log
 * while it was in force at some process, at or behind the position of the endpoint. If all of them select the message it must be
 * there, if none does it must not.
 */
import { setImmediate } from 'node:timers/promises'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { type LogFields, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type SeededRandom, seededRandom } from '#runtime/seeded-random.ts'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { messagesOfBatch } from '#schemas/batch.ts'
import { limits } from '#schemas/limits.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { type EndpointDocument, endpointGroup, endpointGroupPrefix } from '#schemas/routing/routing.ts'
import { Router } from '../routed/router.ts'
import type { UndeliverableRecord } from '../undeliverable.ts'
import { startWorker } from '../worker.ts'
import { CheckedEndpoint, type SimulatedServer } from './checked-endpoint-fixture.ts'
import { type DecidingInterval, RoutedMessages } from './routed-messages-fixture.ts'
import { keyOf, simulatedBatch } from './simulated-batch.ts'
import { classCount, classKey, SimulatedDocuments } from './simulated-documents.ts'
import { SimulatedEndpoint } from './simulated-endpoint.ts'
import { SimulatedProcess } from './simulated-process.ts'
import { SimulatedWarehouse } from './simulated-warehouse.ts'

/** A fault that is planted to see that it is found. */
export type RouterBug =
  | 'moved-before-proof'
  | 'revision-in-token'
  | 'cache-without-revision'
  | 'letter-of-another'
  | 'hold-not-heeded'
  | 'intent'

export interface RouterResult {
  readonly seed: number
  readonly faults: readonly string[]
  readonly messages: number
  readonly revisions: number
  readonly endpoints: number
  readonly kills: number
  readonly removed: number
  readonly letters: number
  readonly dead: number
  readonly steps: number
}

export interface RouterSimulationOptions {
  readonly bug?: RouterBug
  /** In some worlds the endpoint that is away stays so until it counts as dead, which takes a minute to run. */
  readonly mayBeLong?: boolean
}

/** Runs the world of `seed` to its end. */
export async function simulateRouter(seed: number, options: RouterSimulationOptions = {}): Promise<RouterResult> {
  return await new RouterWorld(seed, options).run()
}

const topicPrefix = 'simulated'
const defaultGroup = 'default-table'
const insertMsMax = 3_000
const faultsMs = 20_000
const stepsMax = 300_000
const messagesPerBatchMax = 4
const revisionsMax = 150
/** Virtual: longer than it takes until an endpoint that is away counts as dead. */
const longMs = limits.endpointDeadMsMin + 5 * limits.endpointDeadRetryMs

interface RunningProcess {
  readonly process: SimulatedProcess
  readonly router: Router
  interval: DecidingInterval | undefined
}

class RouterWorld {
  readonly #seed: number
  readonly #bug: RouterBug | undefined
  readonly #mayBeLong: boolean
  readonly #random: SeededRandom
  readonly #clock = virtualClock()
  readonly #store: MemoryStore
  readonly #log: MemoryLog
  readonly #documents: SimulatedDocuments
  readonly #messages: RoutedMessages
  readonly #defaultTable: SimulatedWarehouse
  readonly #endpoints = new Map<string, CheckedEndpoint>()
  readonly #letters: { readonly endpoint: string; readonly key: string }[] = []
  readonly #running = new Set<RunningProcess>()
  readonly #shares: { readonly kill: number; readonly pause: number; readonly change: number; readonly loss: number }
  readonly #faults: string[] = []
  #batchCount = 0
  #calm = false
  #kills = 0
  #removed = 0
  #steps = 0
  /** Some process said that the log removed what was not delivered. */
  #isLostSaid = false
  /** The endpoint of this name is away from some moment on until everything else is delivered. */
  readonly #deadName: string | undefined
  #isAway = false

  constructor(seed: number, { bug, mayBeLong = false }: RouterSimulationOptions) {
    this.#seed = seed
    this.#bug = bug
    this.#mayBeLong = mayBeLong
    const random = seededRandom(seed)
    this.#random = random
    const share = (max: number) => (random.chance(0.3) ? 0 : random.next() * max)
    this.#shares = { kill: share(0.008), pause: share(0.004), change: share(0.05), loss: share(0.1) }
    this.#store = new MemoryStore(`${topicPrefix}.telemetry`, random.integer(1, 3))
    this.#log = new MemoryLog({ store: this.#store, clock: this.#clock })
    this.#documents = new SimulatedDocuments(random)
    this.#messages = new RoutedMessages(this.#store, topicPrefix)
    this.#defaultTable = this.#table(new Set(), share(0.2), 0)
    this.#deadName = random.chance(0.15) ? this.#documents.names[0] : undefined
  }

  async run(): Promise<RouterResult> {
    const random = this.#random
    const poisonShare = random.chance(0.5) ? 0 : random.next() * 0.2
    this.#documents.change(this.#clock.nowMs())
    for (let index = random.integer(5, 40); index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => void this.#append(poisonShare))
    for (let index = random.integer(2, 25); index > 0; index--)
      this.#at(random.integer(0, faultsMs), () => this.#changeDocument())
    const retainedBytesMax = random.chance(0.5) ? random.integer(500, 4_000) : Number.POSITIVE_INFINITY
    for (let index = random.integer(0, 30); index > 0; index--)
      this.#at(random.integer(0, faultsMs * 1.5), () => void this.#retain(retainedBytesMax))
    for (let index = random.integer(1, 2); index > 0; index--) this.#start()
    this.#at(random.integer(0, faultsMs), () => this.#setAway(true))
    this.#at(faultsMs * 1.5, () => this.#calmDown())
    await this.#turn(() => this.#messages.all.every(({ key }) => this.#isInDefaultTable(key)))
    await this.#turn(() => this.#areDelivered(({ document }) => document.name !== this.#deadName))
    if (this.#deadName !== undefined && this.#mayBeLong && random.chance(0.1)) await this.#pass(longMs)
    // Only now does the endpoint come back: it has cost the others nothing.
    this.#setAway(false)
    await this.#turn(() => this.#areDelivered(() => true))
    this.#check()
    const { length: messages } = this.#messages.all
    const counts = { messages, revisions: this.#documents.current.revision, endpoints: this.#endpoints.size }
    return {
      seed: this.#seed,
      faults: this.#faults,
      ...counts,
      kills: this.#kills,
      removed: this.#removed,
      letters: this.#letters.length,
      dead: this.#deadName === undefined ? 0 : 1,
      steps: this.#steps,
    }
  }

  async #turn(isDone: () => boolean, stepsAtMost = stepsMax): Promise<void> {
    for (let step = 0; step < stepsAtMost; step++) {
      await setImmediate()
      this.#steps++
      // What is looked at is everything that was ever appended, so not at each step.
      if (this.#calm && step % 50 === 0 && isDone()) return
      if (this.#faults.length > 0 || !this.#clock.step()) return
    }
    this.#faults.push('the run does not end')
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.#clock.nowMs() + ms
    await this.#turn(() => this.#clock.nowMs() >= untilMs, Number.POSITIVE_INFINITY)
  }

  #at(atMs: number, action: () => void): void {
    this.#clock.after(atMs, action)
  }

  #changeDocument(): void {
    this.#documents.change(this.#clock.nowMs())
    for (const running of this.#running) this.#applySoon(running)
  }

  async #append(poisonShare: number): Promise<void> {
    const random = this.#random
    const id = this.#batchCount++
    const partition = random.integer(0, this.#log.partitionCount - 1)
    const enqueuedAtMs = this.#clock.nowMs()
    const classes = Array.from({ length: random.integer(1, messagesPerBatchMax) }, () => random.below(classCount))
    const poisonOf = () => new Set(this.#documents.names.filter(() => random.chance(poisonShare)))
    const messages = classes.map((each, index) => ({
      key: keyOf({ id, index }),
      index,
      class: each,
      poison: poisonOf(),
    }))
    const offset = this.#store.partitions[partition]
    this.#messages.add(partition, (offset?.first ?? 0) + (offset?.records.length ?? 0), enqueuedAtMs, messages)
    const times = { enqueuedAtMsFirst: enqueuedAtMs, enqueuedAtMsLast: enqueuedAtMs }
    const stamp = { schemaVersion: 1, edgeId: 'edge', epoch: 1, sequence: id, messageCount: classes.length, ...times }
    const value = simulatedBatch(id, classes.length, enqueuedAtMs, (index) => ({ [classKey]: String(classes[index]) }))
    await this.#log.append(partition, stamp, value)
  }

  #start(): void {
    const process = new SimulatedProcess(this.#clock, this.#random, (gated) => this.#atGate(gated), false)
    const log = process.log(
      new MemoryLog({ store: this.#store, clock: process.clock, sessionMs: 2_000 }),
      { lossShare: this.#calm ? 0 : this.#shares.loss },
      true,
    )
    const common = {
      deadLetters: process.deadLetters({
        put: async (letter: UndeliverableRecord) => this.#putLetter(letter),
        lettered: async () => new Map<number, number>(),
      }),
      logger: { ...silentLogger, error: (_: string, fields?: LogFields) => this.#countLost(fields) },
      clock: process.clock,
      random: this.#random.next,
      skipSteps: new Set(this.#bug === 'intent' ? (['intent'] as const) : []),
    }
    const router = new Router({
      ...common,
      logs: [{ kind: 'telemetry', log }],
      topicPrefix,
      hubName: 'hub.example',
      interpreted: true,
      cache: this.#cache(),
      turns: new SelectionTurns(),
      open: (endpoint) => this.#open(process, endpoint),
    })
    const running: RunningProcess = { process, router, interval: undefined }
    this.#running.add(running)
    this.#applySoon(running)
    void startWorker({
      ...common,
      log,
      group: defaultGroup,
      destination: process.sink(this.#defaultTable),
      metrics: new Metrics(metricsTable),
      insertDelayMs: 100,
    }).then((worker) => worker.finished.catch((error: unknown) => this.#faults.push(`a worker failed: ${error}`)))
  }

  #cache(): SelectionCache {
    const cache = new SelectionCache(this.#random.chance(0.3) ? 0 : this.#random.integer(1_000, 1_000_000))
    if (this.#bug !== 'cache-without-revision') return cache
    const forgetful = new SelectionCache()
    cache.get = (key, select) => forgetful.get({ ...key, revision: '' }, select)
    return cache
  }

  /** Processes hear of a document at moments of their own, and of some never. */
  #applySoon(running: RunningProcess): void {
    const delayMs = this.#random.integer(0, this.#calm ? 100 : 2_000)
    running.process.clock.after(delayMs, () => this.#apply(running))
  }

  #apply(running: RunningProcess): void {
    const { current } = this.#documents
    const { router } = running
    if (router.revision === current.revision) return
    running.interval?.end()
    running.interval = this.#messages.decides(current)
    for (const endpoint of current.document.endpoints) this.#serverOf(endpoint)
    router.apply(current.revision, current.document)
  }

  #open(process: SimulatedProcess, endpoint: EndpointDocument): TableSink | Endpoint {
    const { server } = this.#serverOf(endpoint)
    if (!server.atomic) return process.endpoint(server)
    const sink = process.sink(server)
    if (this.#bug === 'moved-before-proof')
      return { ...sink, insert: (...request) => sink.insert(...request).catch(() => {}) }
    if (this.#bug === 'revision-in-token')
      return {
        ...sink,
        insert: (selected, token, expires) => sink.insert(selected, `${token}@${selected.revision}`, expires),
      }
    return sink
  }

  #serverOf(document: EndpointDocument): CheckedEndpoint {
    const group = endpointGroup(topicPrefix, document)
    const known = this.#endpoints.get(group)
    if (known) return known
    const random = this.#random
    const poison = this.#messages.poisonOf(document.name)
    const lossShare = this.#calm ? 0 : random.next() * 0.3
    const server: SimulatedServer =
      document.kind === 'webhook'
        ? new SimulatedEndpoint(
            this.#clock,
            random,
            { lossShare, namesRefused: random.chance(0.5), messagesMax: random.integer(1, 4) },
            ({ body }) => poison.has(Buffer.from(body).toString()),
          )
        : this.#table(poison, lossShare, random.chance(0.7) ? 0 : 0.05)
    server.down = this.#isAway && document.name === this.#deadName
    const made = new CheckedEndpoint(document, group, server)
    this.#endpoints.set(group, made)
    return made
  }

  #table(poison: ReadonlySet<string>, lossShare: number, burnShare: number): SimulatedWarehouse {
    const tokenMsMax = limits.insertBeginMsMax + insertMsMax
    const faults = { lossShare, burnShare }
    const [clock, random] = [this.#clock, this.#random]
    return new SimulatedWarehouse({ clock, random, faults, poison, insertMsMax, tokenMsMax, requestMsMax: 1_000 })
  }

  #atGate(process: SimulatedProcess): void {
    if (this.#calm || process.state !== 'running') return
    const running = [...this.#running].find((each) => each.process === process)
    // Between any two steps other routes may be in force.
    if (running && this.#documents.current.revision < revisionsMax && this.#random.chance(this.#shares.change)) {
      this.#changeDocument()
      this.#apply(running)
    }
    if (running && this.#random.chance(this.#shares.kill)) {
      this.#kills++
      process.kill()
      running.interval?.end()
      this.#running.delete(running)
      this.#at(this.#random.integer(0, 3_000), () => this.#start())
    } else if (this.#random.chance(this.#shares.pause)) {
      process.pause()
      this.#at(this.#random.integer(10, 10_000), () => process.resume())
    }
  }

  #setAway(isAway: boolean): void {
    this.#isAway = isAway
    for (const { document, server } of this.#endpoints.values())
      if (document.name === this.#deadName) server.down = isAway
  }

  async #retain(partitionBytesMax: number): Promise<void> {
    const { endpoints } = this.#documents.current.document
    const held = endpoints.filter(({ whenBehind }) => whenBehind === 'hold' && this.#bug !== 'hold-not-heeded')
    const result = await this.#log.retain({
      nowMs: this.#clock.nowMs(),
      ageMsMax: 60_000,
      partitionBytesMax,
      neededBy: [defaultGroup, ...held.map((endpoint) => endpointGroup(topicPrefix, endpoint))],
      expiringPrefixes: [endpointGroupPrefix(topicPrefix)],
      force: false,
    })
    this.#removed += result.removedRecords
    for (const each of this.#endpoints.values()) each.expire(this.#store)
  }

  #calmDown(): void {
    this.#calm = true
    this.#documents.settle()
    for (const { server } of this.#endpoints.values()) server.faults = { ...server.faults, ...quietFaults }
    this.#defaultTable.faults = quietFaults
    for (const running of this.#running) this.#applySoon(running)
    this.#start()
  }

  #putLetter({ record, endpoint = '' }: UndeliverableRecord): void {
    const named = this.#bug === 'letter-of-another' ? this.#documents.names[0] : endpoint
    for (const { envelope } of messagesOfBatch(record.value))
      this.#letters.push({ endpoint: named ?? '', key: Buffer.from(envelope.body).toString() })
  }

  #countLost({ lost = 0 }: LogFields = {}): void {
    if (Number(lost) > 0) this.#isLostSaid = true
  }

  #isInDefaultTable(key: string): boolean {
    return this.#defaultTable.ranges.some(({ messages }) => messages.some((message) => keyOf(message) === key))
  }

  /** Every process knows the last document, and its endpoints have passed all that is on the log. */
  #areDelivered(isMeant: (endpoint: CheckedEndpoint) => boolean): boolean {
    const { revision, document } = this.#documents.current
    if ([...this.#running].some(({ router, process }) => process.state === 'running' && router.revision !== revision))
      return false
    return document.endpoints.every((endpoint) => {
      const checked = this.#endpoints.get(endpointGroup(topicPrefix, endpoint))
      if (checked && !isMeant(checked)) return true
      return this.#store.partitions.every(
        ({ first, records }, partition) =>
          records.length === 0 ||
          (this.#log.position(endpointGroup(topicPrefix, endpoint), partition)?.offset ?? 0) >= first + records.length,
      )
    })
  }

  #check(): void {
    const stored = this.#defaultTable.ranges.flatMap(({ messages }) => messages.map(keyOf))
    for (const { key } of this.#messages.all) {
      const { length: count } = stored.filter((each) => each === key)
      if (count !== 1) this.#faults.push(`the default table has message ${key} ${count} times`)
    }
    const inForce = new Set(this.#documents.current.document.endpoints.map((each) => endpointGroup(topicPrefix, each)))
    for (const endpoint of this.#endpoints.values()) {
      const letters = new Set(
        this.#letters.filter((each) => each.endpoint === endpoint.document.name).map(({ key }) => key),
      )
      this.#faults.push(...endpoint.check(this.#messages, letters, inForce.has(endpoint.group)))
      if (endpoint.expiredCount > 0 && !this.#isLostSaid)
        this.#faults.push(`${endpoint.group}: nobody says what expired`)
    }
    const isRefused = (name: string, key: string) =>
      [...this.#endpoints.values()].some((each) => each.document.name === name && each.refuses(this.#messages, key))
    for (const { endpoint, key } of this.#letters)
      if (!isRefused(endpoint, key)) this.#faults.push(`${key} is a letter of ${endpoint}, which takes it`)
  }
}

const quietFaults = { lossShare: 0, burnShare: 0 }
