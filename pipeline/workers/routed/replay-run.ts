/**
 * One replay of the log into an endpoint: a run as the endpoint's own, in consumer groups that no other has, over logs that end. So it stores
 * each of its messages as surely as the endpoint does what comes from now on, and goes on where it was, whoever is killed.
 */
import type { Log, PartitionRange } from '#pipeline/log/log.ts'
import { offsetAt } from '#pipeline/reading/offset-at.ts'
import { replayedRouting } from '#pipeline/routing/select/replayed-routing.ts'
import { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import { sleep } from '#runtime/clock.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import type { EndpointHealth } from '#schemas/endpoint-health.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type ReplayDocument, replayGroup } from '#schemas/routing/replay.ts'
import type { EndpointDocument, RoutingDocument } from '#schemas/routing/routing.ts'
import { BoundedLog } from './bounded-log.ts'
import { EndpointRun, type EndpointRunOptions } from './endpoint-run.ts'
import { Pace } from './pace.ts'
import type { RoutedLog } from './routed-log.ts'
import { type RevisionOptions, Revisions, RoutingRevision } from './routing-revision.ts'

export interface ReplayRunOptions
  extends Omit<EndpointRunOptions, 'revisions' | 'cache' | 'counts' | 'group' | 'pace'>,
    Pick<RevisionOptions, 'hubName' | 'reader' | 'interpreted' | 'twins'> {
  readonly replay: ReplayDocument
  readonly revision: number
  readonly document: RoutingDocument
}

export interface ReplayProgress {
  /** Records of the log, from its beginning to its end, and how many of these are read. */
  readonly records: number
  readonly recordsDone: number
  /** By this router, since it began here. */
  readonly messagesDelivered: number
  readonly isDone: boolean
  readonly health: EndpointHealth
}

/** Where a replay begins and ends on one log, by partition. */
interface Extent {
  readonly routed: RoutedLog
  readonly starts: readonly number[]
  readonly ends: readonly number[]
}

const retryMs = 5_000

export class ReplayRun {
  readonly replay: ReplayDocument
  readonly endpoint: EndpointDocument
  readonly #options: ReplayRunOptions
  readonly #stop = new AbortController()
  readonly #revisions: Revisions
  readonly #begun: Promise<void>
  #run: EndpointRun | undefined
  #extents: readonly Extent[] = []
  #revision: number

  /** @throws ROUTING_INVALID of conditions that are too much together */
  constructor(options: ReplayRunOptions) {
    this.replay = options.replay
    this.endpoint = options.endpoint
    this.#options = options
    this.#revision = options.revision
    this.#revisions = new Revisions(this.#compiled(options.revision, options.document))
    this.#begun = this.#begin()
  }

  /** Goes on with the routes of another document. @throws as the constructor; then it goes on with those before */
  revise(revision: number, document: RoutingDocument): void {
    if (revision === this.#revision) return
    this.#revisions.replace(this.#compiled(revision, document))
    this.#revision = revision
  }

  /** `undefined` while it is not known. @throws LOG_UNAVAILABLE */
  async progress(): Promise<ReplayProgress | undefined> {
    const run = this.#run
    if (run === undefined) return undefined
    let [records, recordsDone, isDone] = [0, 0, true]
    for (const { routed, starts, ends } of this.#extents) {
      const positions = await routed.log.positions(run.groupOf(routed))
      for (const [partition, end] of ends.entries()) {
        const start = Math.min(end, starts[partition] ?? end)
        const position = positions[partition]?.offset ?? start
        records += end - start
        recordsDone += Math.min(end, Math.max(start, position)) - start
        isDone &&= position >= end
      }
    }
    return { records, recordsDone, isDone, health: run.health(), messagesDelivered: this.#delivered() }
  }

  samples(): readonly MetricSample[] {
    const wanted: MetricName = 'penstock_endpoint_messages_delivered_total'
    const shown: MetricName = 'penstock_endpoint_messages_replayed_total'
    return (this.#run?.samples() ?? []).flatMap(([name, labels, value]): MetricSample[] =>
      name === wanted ? [[shown, labels, value]] : [],
    )
  }

  /** Lets what is under way end, and writes down how far it is. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#begun
    await this.#run?.close()
  }

  #delivered(): number {
    return this.samples().reduce((sum, [, , value]) => sum + value, 0)
  }

  async #begin(): Promise<void> {
    const { logs, logger, clock } = this.#options
    while (!this.#stop.signal.aborted)
      try {
        this.#extents = await Promise.all(logs.map((routed) => this.#extentOf(routed)))
        this.#run = new EndpointRun(this.#runOptions())
        return
      } catch (error) {
        if (!isPenstockError(error)) throw error
        logger.warn('a replay cannot begin yet', { replay: this.replay.id, error })
        await sleep(clock, retryMs, this.#stop.signal)
      }
  }

  async #extentOf(routed: RoutedLog): Promise<Extent> {
    const { log } = routed
    const { fromMs, toMs } = this.replay
    const ranges = await log.ranges()
    const at = <T>(offsetOf: (partition: number, range: PartitionRange) => Promise<T>) =>
      Promise.all(ranges.map((range, partition) => offsetOf(partition, range)))
    return {
      routed,
      starts: await at((partition, range) => offsetAt(log, partition, range, fromMs)),
      ends: await at((partition, range) => endAt(log, partition, range, toMs)),
    }
  }

  #runOptions(): EndpointRunOptions {
    const { replay } = this
    const { topicPrefix, deadLetters, clock } = this.#options
    const rate = replay.messagesPerSecondMax
    return {
      ...this.#options,
      endpoint: { ...this.endpoint, startsAtMs: replay.fromMs },
      group: replayGroup(topicPrefix, replay),
      logs: this.#extents.map(({ routed, ends }) => ({ ...routed, log: new BoundedLog(routed.log, ends, clock) })),
      revisions: this.#revisions,
      // Nobody else reads there.
      cache: new SelectionCache(0),
      deadLetters: {
        put: (letter) => deadLetters.put({ ...letter, replay: replay.id }),
        lettered: (...place) => deadLetters.lettered(...place),
      },
      ...(rate !== undefined && { pace: new Pace(rate, clock) }),
    }
  }

  #compiled(revision: number, document: RoutingDocument): RoutingRevision {
    const { hubName, interpreted, reader, twins } = this.#options
    const name = `${revision}.${this.replay.id}`
    return new RoutingRevision(name, replayedRouting(document, this.replay), { hubName, interpreted, reader, twins })
  }
}

/** The offset behind the last batch that holds a message enqueued before `beforeMs`. */
async function endAt(log: Log, partition: number, range: PartitionRange, beforeMs: number): Promise<number> {
  const offset = await offsetAt(log, partition, range, beforeMs)
  if (offset >= range.next) return offset
  // Its last message is later, its first one may not be.
  const [record] = await log.read(partition, offset, 1)
  return record !== undefined && record.stamp.enqueuedAtMsFirst < beforeMs ? record.offset + 1 : offset
}
