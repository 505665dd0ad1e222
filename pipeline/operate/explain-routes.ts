/**
 * Says what routes make of the traffic of the last minutes, and why: reads the log itself, outside any group, so that no reader's position
 * moves. It reads messages of devices; routes of other sources are named and not asked.
 *
 *   log from `fromMs` on ─▶ messages within the time, of the device ─▶ each condition ─▶ counts by verdict and reason, samples
 *                                                                  └─▶ endpoints of those that are true, as a router has them
 *
 * Partitions share the budget, so that each has its turn. A message counts as it lies on the log: it is not known whether it was delivered.
 */
import { messageId } from '#pipeline/endpoints/selected-range.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { walkLog } from '#pipeline/reading/log-walk.ts'
import { offsetAt } from '#pipeline/reading/offset-at.ts'
import { readCondition } from '#pipeline/routing/condition/condition.ts'
import { Needs } from '#pipeline/routing/condition/needs.ts'
import { problemText } from '#pipeline/routing/condition/problem.ts'
import { BlockReader, blocksOf } from '#pipeline/routing/select/block-reader.ts'
import { envelopeOf } from '#pipeline/routing/select/envelope-reading.ts'
import { EnvelopeScan } from '#pipeline/routing/select/envelope-scan.ts'
import { SenderText } from '#pipeline/routing/select/sender.ts'
import { RecordTwins, type SenderTwins } from '#pipeline/routing/select/sender-twins.ts'
import { StoredFacts } from '#pipeline/routing/select/stored-facts.ts'
import { SuffixTable } from '#pipeline/routing/select/suffix-table.ts'
import type { PropertyFacts } from '#pipeline/routing/select/wanted-properties.ts'
import { DeliveredSequences } from '#pipeline/workers/delivered-sequences.ts'
import type { Clock } from '#runtime/clock.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { partitionOfDevice } from '#schemas/partition.ts'
import type { RouteDocument, RoutingDocument } from '#schemas/routing/routing.ts'
import { routeCostNs } from './route-cost.ts'
import { type RouteOutcome, RouteOutcomes } from './route-outcomes.ts'

/** At once in memory, with what it becomes decompressed. */
const readBytesMax = 4 * 1024 * 1024

export type ExplainedDocument = Pick<RoutingDocument, 'routes' | 'fallbackRoute'>

export interface ExplainOptions {
  /** Messages of devices. */
  readonly log: Log
  /** Of that log; left out: it never grew. */
  readonly spread?: Pick<DeviceSpread, 'partitionsOf'>
  readonly document: ExplainedDocument
  /** Messages that were enqueued from this time on and before the other; undefined: to the log's end. UTC milliseconds. */
  readonly fromMs: number
  readonly toMs: number | undefined
  /** Only messages of this device and of its modules. */
  readonly deviceId: string | undefined
  /** Of each outcome of each route. */
  readonly samplesMax: number
  /** After so long, or so many bytes of the log, the rest is left unread. One batch of each partition is read at least. */
  readonly budget: { readonly ms: number; readonly bytes: number }
  /** Conditions are evaluated without generated code. */
  readonly interpreted: boolean
  /** As they are now, whatever they were when messages were sent. Left out: nobody has one. */
  readonly twins?: SenderTwins | undefined
  readonly clock: Clock
}

export interface ExplainedRoutes {
  readonly read: ReadExtent
  /** As in the document, the fallback last. */
  readonly routes: readonly ExplainedRoute[]
  /** Those that a route which was asked leads to. A message that several routes take counts once. */
  readonly endpoints: readonly EndpointShare[]
  /** CPU time of all routes together, as a router evaluates them. */
  readonly costNs: number | undefined
}

export interface ReadExtent {
  readonly fromMs: number
  readonly toMs: number | undefined
  readonly messages: number
  readonly records: number
  /** As they lie on the log, compressed. */
  readonly bytes: number
  /** Records that are no batches; routers have dead letters for them. */
  readonly corruptRecords: number
  /** The budget was spent before these were read. Some may lie behind the end of the time. */
  readonly unreadRecords: number
  /** The log did not hand out these; nothing is said of them. */
  readonly silentRecords: number
}

export interface ExplainedRoute {
  readonly name: string
  readonly condition: string
  readonly endpointNames: readonly string[]
  /** `off`: not enabled. `other-source`: it takes no messages of devices. Neither is asked. */
  readonly state: 'asked' | 'off' | 'other-source'
  /** Those that occurred. A fallback is asked only about messages that no route took. */
  readonly outcomes: readonly RouteOutcome[]
  /** CPU nanoseconds a message, alone, as a router evaluates it; undefined where there was nothing to measure it with. */
  readonly costNs: number | undefined
}

export interface EndpointShare {
  readonly name: string
  readonly messages: number
  /** Of the messages as they lie on the log, decompressed. */
  readonly bytes: number
}

/** @throws ROUTING_INVALID of a condition that cannot be read; what the log throws */
export async function explainRoutes(options: ExplainOptions): Promise<ExplainedRoutes> {
  const explanation = new RoutesExplanation(options)
  await explanation.read()
  return explanation.result()
}

/** A route, and what is known of it so far if it is asked. */
interface AskedRoute {
  readonly route: RouteDocument
  readonly isFallback: boolean
  readonly outcomes: RouteOutcomes | undefined
}

interface CountedEndpoint {
  messages: number
  bytes: number
}

class RoutesExplanation {
  readonly #options: ExplainOptions
  readonly #routes: readonly AskedRoute[]
  readonly #asked: readonly (AskedRoute & { readonly outcomes: RouteOutcomes })[]
  readonly #endpoints = new Map<string, CountedEndpoint>()
  readonly #reader = new BlockReader()
  readonly #scan = new EnvelopeScan()
  readonly #facts: StoredFacts
  readonly #sender = new SenderText()
  /** Undefined where no route asks for one. */
  readonly #twins: SenderTwins | undefined
  readonly #suffixes = new SuffixTable<PropertyFacts>()
  readonly #device: Buffer | undefined
  readonly #counts = { messages: 0, records: 0, bytes: 0, corruptRecords: 0, unreadRecords: 0, silentRecords: 0 }
  /** The last block that held a message which was asked about. */
  #block: { readonly plain: Buffer; readonly messageCount: number; readonly twins: RecordTwins | undefined } | undefined

  constructor(options: ExplainOptions) {
    this.#options = options
    const needs = new Needs()
    const { routes, fallbackRoute } = options.document
    this.#routes = [
      ...routes.map((route) => this.#askedRoute(route, false, needs)),
      ...(fallbackRoute ? [this.#askedRoute({ ...fallbackRoute, source: 'DeviceMessages' }, true, needs)] : []),
    ]
    this.#asked = this.#routes.flatMap(({ outcomes, ...rest }) => (outcomes ? [{ ...rest, outcomes }] : []))
    for (const { route } of this.#asked)
      for (const name of route.endpointNames) this.#endpoints.set(name, { messages: 0, bytes: 0 })
    this.#facts = new StoredFacts(needs)
    this.#twins = needs.twinPaths.length > 0 ? options.twins : undefined
    // Those that are read from now on have the values of all of them.
    for (const path of needs.twinPaths) options.twins?.indexOf(path)
    this.#device = options.deviceId === undefined ? undefined : Buffer.from(options.deviceId)
  }

  async read(): Promise<void> {
    const { log, spread, budget, clock } = this.#options
    const ranges = await log.ranges()
    // Where messages of a device lie, and lay before partitions were added.
    const partitionsOf = (device: Buffer) => spread?.partitionsOf(device) ?? [partitionOfDevice(device, ranges.length)]
    const partitions = this.#device ? partitionsOf(this.#device) : [...ranges.keys()]
    const endsAtMs = clock.monotonicMs() + budget.ms
    for (const [place, partition] of partitions.entries()) {
      const range = ranges[partition]
      if (range === undefined) continue
      const partitionsLeft = partitions.length - place
      await this.#readPartition(partition, range, {
        ms: (endsAtMs - clock.monotonicMs()) / partitionsLeft,
        bytes: (budget.bytes - this.#counts.bytes) / partitionsLeft,
      })
    }
  }

  result(): ExplainedRoutes {
    const { fromMs, toMs } = this.#options
    // The code that all routes share is warm behind this.
    const costNs = this.#costNs(this.#asked)
    return {
      read: { fromMs, toMs, ...this.#counts },
      routes: this.#routes.map(({ route, outcomes }) => ({
        name: route.name,
        condition: route.condition,
        endpointNames: route.endpointNames,
        state: route.source !== 'DeviceMessages' ? 'other-source' : outcomes === undefined ? 'off' : 'asked',
        outcomes: outcomes?.list() ?? [],
        costNs: outcomes === undefined ? undefined : this.#costNs([{ route, isFallback: false }]),
      })),
      endpoints: Array.from(this.#endpoints, ([name, counted]) => ({ name, ...counted })),
      costNs,
    }
  }

  /** @throws ROUTING_INVALID */
  #askedRoute(route: RouteDocument, isFallback: boolean, needs: Needs): AskedRoute {
    if (!route.isEnabled || route.source !== 'DeviceMessages') return { route, isFallback, outcomes: undefined }
    const { interpreted, samplesMax } = this.#options
    const reading = readCondition(route.condition, route.source, { needs, interpreted })
    if ('condition' in reading) return { route, isFallback, outcomes: new RouteOutcomes(reading.condition, samplesMax) }
    const problems = reading.errors.map((problem) => {
      const { line, column } = problem.location.start
      return `${route.name}, line ${line} column ${column}: ${problemText(problem)}`
    })
    throw new PenstockError('ROUTING_INVALID', problems.join('\n'))
  }

  async #readPartition(partition: number, range: PartitionRange, share: ExplainOptions['budget']): Promise<void> {
    const { log, fromMs, toMs = Number.POSITIVE_INFINITY, clock } = this.#options
    const from = await offsetAt(log, partition, range, fromMs)
    const endsAtMs = clock.monotonicMs() + share.ms
    const bytesEnd = this.#counts.bytes + share.bytes
    let isEnded = false
    const isOver = ({ offset, stamp }: LogRecord): boolean => {
      const isBehind = stamp.enqueuedAtMsFirst >= toMs
      const isSpent = this.#counts.bytes >= bytesEnd || clock.monotonicMs() >= endsAtMs
      isEnded = isBehind || (isSpent && offset > from)
      if (isEnded && !isBehind) this.#counts.unreadRecords += range.next - offset
      return isEnded
    }
    const seen = new DeliveredSequences()
    const walk = { partition, from, end: range.next, readBytesMax, isOver }
    const read = await walkLog(log, walk, async (record) => {
      // Endpoints get a batch once that an edge appended twice.
      if (seen.has(record.stamp)) return
      seen.add(record.stamp)
      await this.#readRecord(partition, record)
    })
    if (!isEnded) this.#counts.silentRecords += range.next - read
  }

  async #readRecord(partition: number, { offset, value }: LogRecord): Promise<void> {
    this.#counts.records++
    this.#counts.bytes += value.length
    try {
      const blocks = blocksOf(value)
      let firstIndex = 0
      for (const [place, plain] of (await this.#reader.read(value, blocks)).entries()) {
        const { messageCount = 0 } = blocks[place] ?? {}
        await this.#readBlock(plain, messageCount, (index) =>
          messageId(this.#options.log.topic, partition, offset, firstIndex + index),
        )
        firstIndex += messageCount
      }
    } catch (error) {
      if (!isPenstockError(error, 'BATCH_CORRUPT')) throw error
      this.#counts.corruptRecords++
    }
  }

  async #readBlock(plain: Buffer, messageCount: number, idOf: (index: number) => string): Promise<void> {
    const scan = this.#scan
    const askedBefore = this.#counts.messages
    const twins = this.#twins && (await this.#twinsIn(plain, this.#twins))
    this.#facts.useTwins(twins)
    scan.open(plain)
    for (let index = 0; scan.next(); index++) {
      const known = this.#suffixes.find(scan) ?? this.#learn(scan)
      if (!this.#isWanted(scan)) continue
      this.#counts.messages++
      this.#facts.enter(scan, known)
      this.#ask(() => idOf(index))
    }
    if (this.#counts.messages > askedBefore && scan.count === messageCount) this.#block = { plain, messageCount, twins }
  }

  /** Of all who sent a message that is asked about. */
  async #twinsIn(plain: Buffer, known: SenderTwins): Promise<RecordTwins> {
    const twins = new RecordTwins(known)
    const scan = this.#scan
    scan.open(plain)
    while (scan.next()) {
      const sender = this.#sender.of(scan)
      if (this.#isWanted(scan)) twins.of(sender)
    }
    await twins.load()
    return twins
  }

  #isWanted(scan: EnvelopeScan): boolean {
    const { fromMs, toMs = Number.POSITIVE_INFINITY } = this.#options
    const device = this.#device
    if (device !== undefined && device.compare(scan.bytes, scan.idStart, scan.idEnd) !== 0) return false
    const enqueuedAtMs = scan.enqueuedAtMs()
    return enqueuedAtMs >= fromMs && enqueuedAtMs < toMs
  }

  /** What conditions ask of the properties, which are unknown as they stand. */
  #learn(scan: EnvelopeScan): PropertyFacts {
    const { wanted } = this.#facts
    wanted.read(scan)
    const known = wanted.facts(scan)
    this.#suffixes.keep(scan, known)
    return known
  }

  /** Every route about the message entered. */
  #ask(id: () => string): void {
    const scan = this.#scan
    const endpoints = new Set<string>()
    let isTaken = false
    for (const { route, isFallback, outcomes } of this.#asked) {
      if (isFallback && isTaken) continue
      if (outcomes.ask(this.#facts, id, () => envelopeOf(scan)) !== true) continue
      isTaken = true
      for (const name of route.endpointNames) endpoints.add(name)
    }
    for (const name of endpoints) {
      const counted = this.#endpoints.get(name)
      if (counted === undefined) continue
      counted.messages++
      counted.bytes += scan.end - scan.start
    }
  }

  /** A fallback alone costs as much as any route. */
  #costNs(asked: readonly Pick<AskedRoute, 'route' | 'isFallback'>[]): number | undefined {
    if (this.#block === undefined) return undefined
    const { plain, messageCount, twins } = this.#block
    const fallback = asked.find(({ isFallback }) => isFallback)?.route
    const routes = asked.filter(({ isFallback }) => !isFallback).map(({ route }) => route)
    const all = { routes, ...(fallback && { fallback }) }
    return Math.round(routeCostNs(all, plain, messageCount, this.#options.interpreted, twins))
  }
}
