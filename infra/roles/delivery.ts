import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { startWorker, type Worker } from '#pipeline/workers/worker.ts'
import type { Logger } from '#runtime/logger.ts'
import type { MetricSample, Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import type { BatchSpans } from './batch-spans.ts'
import { deliverEvents, type EventDelivery } from './deliver-events.ts'
import type { EndpointRetention } from './log-retention.ts'
import { workerGroup } from './open-role-log.ts'
import { standstillText } from './standstill-text.ts'

export interface DeliveryOptions {
  readonly settings: Settings
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly log: Log
  readonly spread: DeviceSpread
  readonly deadLetterLog: Log
  readonly warehouse: Warehouse
  readonly endpoints: EndpointRetention
  /** Of batches of telemetry; `undefined`: none are traced. */
  readonly spans: BatchSpans | undefined
}

/** What a worker process delivers: telemetry, and events where they are wanted. Until it begins it waits for the warehouse. */
export class Delivery {
  readonly #options: DeliveryOptions
  #telemetry: Worker | undefined
  #events: readonly EventDelivery[] = []
  #isRunning = false
  #isClosed = false

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** @param sink the table of telemetry; that of events is there as well */
  async begin(sink: TableSink): Promise<void> {
    const { settings, metrics, logger, log, spread, deadLetterLog, warehouse, endpoints, spans } = this.#options
    const deadLetters = openDeadLetterBox({ log: deadLetterLog, warehouse, logger })
    this.#telemetry = await startWorker({
      log,
      spread,
      group: workerGroup(settings),
      destination: sink,
      deadLetters,
      logger,
      metrics,
      onStored: spans && ((partition, records) => spans.stored(partition, records)),
      insertDelayMs: settings.insertDelayMs,
    })
    for (const topic of ['events', 'twin-events'] as const) {
      const events = await deliverEvents(topic, settings, warehouse, deadLetters, endpoints, logger)
      if (events !== undefined) this.#events = [...this.#events, events]
    }
    this.#isRunning = !this.#isClosed
  }

  /** Everything that is wanted is delivered, and goes on being so. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  /** What stands still, in one line; `undefined` if nothing does. */
  standstill(): string | undefined {
    if (this.#telemetry === undefined) return 'delivery stands still: the worker waits for ClickHouse'
    return standstillText({
      telemetry: this.#telemetry.standstills(),
      events: this.#events.flatMap((events) => events.standstills()),
    })
  }

  /** Whether it is this process, of all workers, that does what one of them is to do. */
  get isFirst(): boolean {
    return this.#telemetry?.delivers(0) ?? false
  }

  samples(): MetricSample[] {
    return [...this.#options.metrics.samples(), ...this.#events.flatMap((events) => events.samples())]
  }

  /** Resolves once it was closed; rejects if a partition cannot be delivered. */
  async finished(): Promise<void> {
    await Promise.all([this.#telemetry?.finished, ...this.#events.map(({ finished }) => finished)])
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#isRunning = false
    await Promise.all([this.#telemetry?.close(), ...this.#events.map((events) => events.close())])
  }
}
