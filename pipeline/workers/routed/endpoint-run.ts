/**
 * One endpoint, delivered to for as long as its settings stay: a worker for each log that routes read, in consumer groups of its own, one
 * circuit for all. Whatever becomes of it, the others go on [G-10].
 */
import { Circuit } from '#pipeline/endpoints/circuit.ts'
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { offsetAt } from '#pipeline/reading/offset-at.ts'
import type { SelectionCache } from '#pipeline/routing/select/selection-cache.ts'
import type { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type MetricSample, Metrics } from '#runtime/metrics.ts'
import type { EndpointHealth, EndpointStatus } from '#schemas/endpoint-health.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { groupOnTopic } from '#schemas/log-topics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import { type EndpointDocument, endpointGroup } from '#schemas/routing/routing.ts'
import type { ProtocolStep } from '../delivery.ts'
import type { DeadLetterBox } from '../undeliverable.ts'
import { startWorker, type Worker } from '../worker.ts'
import { endpointSample } from './endpoint-metrics.ts'
import { type Pace, PacedSelector } from './pace.ts'
import type { RouteCounts } from './route-counts.ts'
import type { RoutedLog } from './routed-log.ts'
import { RoutedSelector } from './routed-selector.ts'
import type { Revisions } from './routing-revision.ts'

export interface EndpointRunOptions {
  readonly endpoint: EndpointDocument
  readonly logs: readonly RoutedLog[]
  readonly topicPrefix: string
  /** Opens the endpoint for one log. @param group its consumer group there, which names what it stores */
  readonly open: (endpoint: EndpointDocument, group: string) => TableSink | Endpoint
  readonly revisions: Revisions
  readonly cache: SelectionCache
  /** Shared by all runs of a process. */
  readonly turns: SelectionTurns
  /** Left out: what routes make of messages is not counted. */
  readonly counts?: RouteCounts
  readonly deadLetters: DeadLetterBox
  /** Consumer group on the log of telemetry; left out: the endpoint's own. */
  readonly group?: string
  /** Left out: as fast as the endpoint takes them. */
  readonly pace?: Pace
  readonly logger: Logger
  readonly clock: Clock
  /** As of `WorkerOptions`. */
  readonly random?: () => number
  readonly skipSteps?: ReadonlySet<ProtocolStep>
}

/** After a fault of the endpoint's program or of the log. */
const restartMs = 5_000
const delayMsDefault = 500

export class EndpointRun {
  readonly endpoint: EndpointDocument
  readonly #options: EndpointRunOptions
  readonly #circuit: Circuit
  readonly #metrics: readonly Metrics<MetricName>[]
  readonly #stop = new AbortController()
  readonly #running: Promise<void>

  constructor(options: EndpointRunOptions) {
    const { endpoint, logs, clock, logger, random = Math.random } = options
    this.endpoint = endpoint
    this.#options = options
    this.#metrics = logs.map(() => new Metrics<MetricName>(metricsTable))
    this.#circuit = new Circuit({
      name: endpoint.name,
      clock,
      random,
      onStatus: (health) => tellOfHealth(logger, health),
    })
    this.#running = this.#run()
  }

  health(): EndpointHealth {
    return this.#circuit.health()
  }

  groupOf(log: RoutedLog): string {
    return groupOnTopic(this.#options.group ?? endpointGroup(this.#options.topicPrefix, this.endpoint), log.kind)
  }

  /** Counters and gauges of its workers, under names of their own with the endpoint's name. */
  samples(): readonly MetricSample[] {
    return this.#metrics.flatMap((metrics, place) =>
      metrics
        .samples()
        .flatMap((sample) => endpointSample(sample, this.endpoint.name, this.#options.logs[place]?.kind ?? '')),
    )
  }

  /** Lets what is under way end, and writes down how far it is. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options
    while (!this.#stop.signal.aborted) {
      try {
        await this.#deliver()
      } catch (error) {
        const fault = isPenstockError(error)
          ? error
          : new PenstockError('ENDPOINT_UNAVAILABLE', 'a fault of the program', { cause: error })
        this.#circuit.failed(fault)
        logger.error('an endpoint cannot be delivered to and is begun again', { endpoint: this.endpoint.name, error })
        await sleep(clock, restartMs, this.#stop.signal)
      }
    }
  }

  /** Until the run is closed, or a worker fails for good. */
  async #deliver(): Promise<void> {
    const destinations: (TableSink | Endpoint)[] = []
    const workers: Worker[] = []
    try {
      for (const [place, log] of this.#options.logs.entries()) {
        const destination = this.#options.open(this.endpoint, this.groupOf(log))
        destinations.push(destination)
        workers.push(await this.#start(destination, log, place))
      }
      const stopped = new Promise<void>((resolve) => {
        if (this.#stop.signal.aborted) resolve()
        this.#stop.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      await Promise.race([stopped, ...workers.map(({ finished }) => finished)])
    } finally {
      await Promise.allSettled(workers.map((worker) => worker.close()))
      await Promise.allSettled(destinations.map((destination) => destination.close()))
    }
  }

  #start(destination: TableSink | Endpoint, routed: RoutedLog, place: number): Promise<Worker> {
    const { revisions, cache, turns, counts, deadLetters, pace, logger, clock, random, skipSteps } = this.#options
    const { name, startsAtMs, settings } = this.endpoint
    const { log, spread, kind } = routed
    const selector = new RoutedSelector({ endpoint: name, kind, revisions, cache, turns, counts })
    return startWorker({
      log,
      spread,
      group: this.groupOf(routed),
      destination,
      selector: pace ? new PacedSelector(selector, pace, this.#stop.signal) : selector,
      ...(pace && { rangeMessagesMax: atOnce(destination, pace) }),
      start: (partition, range) => offsetAt(log, partition, range, startsAtMs),
      letterEndpoint: name,
      circuit: this.#circuit,
      deadLetters,
      logger,
      metrics: this.#metrics[place] ?? new Metrics<MetricName>(metricsTable),
      insertDelayMs: typeof settings.delayMs === 'number' ? settings.delayMs : delayMsDefault,
      clock,
      ...(random && { random }),
      ...(skipSteps && { skipSteps }),
    })
  }
}

/** As many as go in the time that the destination gathers for: a second, if it does not say. */
function atOnce(destination: TableSink | Endpoint, { perSecondMax }: Pace): number {
  const gatherMs = destination.atomic ? (destination.gatherMsMax ?? 0) : 0
  return Math.ceil((perSecondMax * Math.max(1_000, gatherMs)) / 1_000)
}

/** Names of the hub's log for operators. */
const healthOperations: Readonly<Partial<Record<EndpointStatus, string>>> = {
  healthy: 'EndpointHealthy',
  unhealthy: 'EndpointUnhealthy',
  dead: 'EndpointDead',
}

function tellOfHealth(
  logger: Logger,
  { endpointId: endpoint, healthStatus, lastKnownError: reason }: EndpointHealth,
): void {
  const operation = healthOperations[healthStatus]
  if (healthStatus === 'healthy') logger.info('an endpoint takes messages', { operation, endpoint })
  else logger.warn('an endpoint takes no messages', { operation, endpoint, healthStatus, reason })
}
