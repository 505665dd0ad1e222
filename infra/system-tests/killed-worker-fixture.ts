/** A worker that kills itself at one of its first inserts or requests: `node killed-worker-fixture.ts <options>`. */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import type { ClickHouseHome } from '#pipeline/sinks/clickhouse/clickhouse-endpoint.ts'
import { type EndpointToOpen, openEndpoint } from '#pipeline/sinks/open-endpoint.ts'
import { startWorker } from '#pipeline/workers/worker.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { metricsTable } from '#schemas/metrics.ts'

export interface KilledWorkerOptions {
  readonly dataDir: string
  readonly topic: string
  readonly partitionCount: number
  readonly endpoint: EndpointToOpen
  readonly home: ClickHouseHome | undefined
  /** Which insert or request kills it, from 1; and when: before it, so long after its beginning, or between it and the position. */
  readonly killAt: number
  readonly killWhen: 'before' | 'after' | number
}

/** Its own death, at once and without a word to anyone. */
const die = (): void => {
  process.kill(process.pid, 'SIGKILL')
}

/** Counts inserts or requests, and dies at one of them. */
class Death {
  readonly #options: KilledWorkerOptions
  #count = 0

  constructor(options: KilledWorkerOptions) {
    this.#options = options
  }

  async at<T>(step: () => Promise<T>): Promise<T> {
    const { killAt, killWhen } = this.#options
    const isLast = ++this.#count === killAt
    if (isLast && killWhen === 'before') die()
    if (isLast && typeof killWhen === 'number') setTimeout(die, killWhen)
    const result = await step()
    if (isLast) die()
    return result
  }
}

class DeadlySink implements TableSink {
  readonly atomic = true
  readonly rangeLimits = { messagesMax: 25, bytesMax: 1_000_000, envelopeBytesMax: 1_000_000 }
  readonly #sink: TableSink
  readonly #death: Death

  constructor(sink: TableSink, death: Death) {
    this.#sink = sink
    this.#death = death
  }

  get name(): string {
    return this.#sink.name
  }
  get insertMsMax(): number {
    return this.#sink.insertMsMax
  }

  insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    return this.#death.at(() => this.#sink.insert(selected, token, expiresMonotonicMs))
  }

  stored = (range: DeliveryRange) => this.#sink.stored(range)
  newest = (partition: number, end: number, sinceMs: number) => this.#sink.newest(partition, end, sinceMs)
  accepts = () => this.#sink.accepts()
  close = () => this.#sink.close()
}

/** Several requests a range, so that it dies within ranges too. */
class DeadlyEndpoint implements Endpoint {
  readonly atomic = false
  readonly rangeLimits = { messagesMax: 25, bytesMax: 1_000_000, envelopeBytesMax: 1_000_000 }
  readonly requestMessagesMax = 7
  readonly requestsAtOnceMax = 1
  readonly #endpoint: Endpoint
  readonly #death: Death

  constructor(endpoint: Endpoint, death: Death) {
    this.#endpoint = endpoint
    this.#death = death
  }

  get name(): string {
    return this.#endpoint.name
  }
  get requestBytesMax(): number {
    return this.#endpoint.requestBytesMax
  }
  get requestMsMax(): number {
    return this.#endpoint.requestMsMax
  }

  deliver(request: EndpointRequest, ended: AbortSignal): Promise<RequestOutcome> {
    return this.#death.at(() => this.#endpoint.deliver(request, ended))
  }

  accepts = () => this.#endpoint.accepts()
  close = () => this.#endpoint.close()
}

/** Where no ClickHouse endpoint is opened. */
const noHome = { url: 'http://127.0.0.1:8123', user: '', password: '', replicated: false }

if (process.send !== undefined) await run(JSON.parse(process.argv[2] ?? '{}'))

async function run(options: KilledWorkerOptions): Promise<void> {
  const { dataDir, topic, partitionCount, endpoint, home = noHome } = options
  const log = await openLog({ kind: 'lmdb', topic, partitionCount, dataDir, logger: silentLogger, sessionMs: 500 })
  const rules = { ownPorts: [], allowed: [] }
  const opened = openEndpoint(endpoint, { rules, folders: ['/'], hubName: 'hub', group: topic, home })
  const death = new Death(options)
  const worker = await startWorker({
    log,
    group: 'endpoint',
    destination: opened.atomic ? new DeadlySink(opened, death) : new DeadlyEndpoint(opened, death),
    deadLetters: {
      put: async ({ text }) => {
        throw new Error(`nothing is refused here: ${text}`)
      },
      lettered: async () => new Map(),
    },
    logger: silentLogger,
    metrics: new Metrics(metricsTable),
    insertDelayMs: 10,
  })
  process.on('message', () => {
    void worker
      .close()
      .then(() => opened.close())
      .then(() => log.close())
      .then(() => process.disconnect())
  })
}
