/** A worker that kills itself at one of its first inserts: `node killed-worker-fixture.ts <options>`. */
import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
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
  /** Which insert kills it, from 1; and when: before it, so long after its beginning, or between it and the position. */
  readonly killAt: number
  readonly killWhen: 'before' | 'after' | number
}

/** Its own death, at once and without a word to anyone. */
const die = (): void => {
  process.kill(process.pid, 'SIGKILL')
}

class DeadlySink implements TableSink {
  readonly atomic = true
  readonly #sink: TableSink
  readonly #options: KilledWorkerOptions
  #insertCount = 0

  constructor(sink: TableSink, options: KilledWorkerOptions) {
    this.#sink = sink
    this.#options = options
  }

  get name(): string {
    return this.#sink.name
  }
  get insertMsMax(): number {
    return this.#sink.insertMsMax
  }
  get rangeLimits(): NonNullable<TableSink['rangeLimits']> {
    return { messagesMax: 25, bytesMax: 1_000_000, envelopeBytesMax: 1_000_000 }
  }

  async insert(selected: SelectedRange, token: string, expiresMonotonicMs: number): Promise<void> {
    const { killAt, killWhen } = this.#options
    const isLast = ++this.#insertCount === killAt
    if (isLast && killWhen === 'before') die()
    if (isLast && typeof killWhen === 'number') setTimeout(die, killWhen)
    await this.#sink.insert(selected, token, expiresMonotonicMs)
    if (isLast) die()
  }

  stored = (range: DeliveryRange) => this.#sink.stored(range)
  newest = (partition: number, end: number, sinceMs: number) => this.#sink.newest(partition, end, sinceMs)
  accepts = () => this.#sink.accepts()
  close = () => this.#sink.close()
}

/** For ClickHouse endpoints, of which none is opened here. */
const home = { url: 'http://127.0.0.1:8123', user: '', password: '', replicated: false }

if (process.send !== undefined) await run(JSON.parse(process.argv[2] ?? '{}'))

async function run(options: KilledWorkerOptions): Promise<void> {
  const { dataDir, topic, partitionCount, endpoint } = options
  const log = await openLog({ kind: 'lmdb', topic, partitionCount, dataDir, logger: silentLogger, sessionMs: 500 })
  const sink = openEndpoint(endpoint, {
    rules: { ownPorts: [], allowed: [] },
    folders: ['/'],
    hubName: 'hub',
    group: topic,
    home,
  })
  if (!sink.atomic) throw new Error(`${endpoint.kind} is stored at least once`)
  const worker = await startWorker({
    log,
    group: 'objects',
    destination: new DeadlySink(sink, options),
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
      .then(() => sink.close())
      .then(() => log.close())
      .then(() => process.disconnect())
  })
}
