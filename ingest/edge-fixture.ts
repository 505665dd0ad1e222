import { twinRefusal } from '#ingest/device-api/twin-refusal.ts'
import { MqttConnection } from '#ingest/mqtt/connection.ts'
import type { QuotaOptions } from '#ingest/quotas/quota-settings.ts'
import type { BatchStamp, Log } from '#pipeline/log/log.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { type Logger, silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type Envelope, envelopesOfBatch } from '#schemas/batch.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { EdgeOptions } from './edge.ts'
import type { EdgeContext, OnPresence } from './session/edge-context.ts'
import { openEdgeContext } from './session/open-edge-context.ts'
import type { Authenticate, IsKnown } from './session/principal.ts'
import type { Transport } from './session/transport.ts'

/** For tests: a log that keeps batches in an array and confirms them when told to. */
export class CapturingLog implements Pick<Log, 'topic' | 'partitionCount' | 'append'> {
  readonly topic = 'test'
  readonly partitionCount: number
  readonly appended: { readonly partition: number; readonly stamp: BatchStamp; readonly value: Uint8Array }[] = []
  /** Awaited before each append is confirmed. */
  gate: (appendIndex: number) => Promise<void> = async () => {}
  #appends = 0

  constructor(partitionCount = 1) {
    this.partitionCount = partitionCount
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    await this.gate(this.#appends++)
    this.appended.push({ partition, stamp, value: Uint8Array.from(value) })
    return this.appended.length - 1
  }

  envelopes(): Envelope[] {
    return this.appended.flatMap(({ value }) => envelopesOfBatch(value))
  }
}

/** For tests: the far end of a connection. */
export class FakeTransport implements Transport {
  readonly written: Buffer[] = []
  paused = false
  ended = false
  writeBytes = 0
  readonly remoteAddress = 'test'
  readonly confidential = true
  readonly isWebSocket = false
  certificates(): [] {
    return []
  }

  write(bytes: Uint8Array): void {
    this.written.push(Buffer.from(bytes))
  }
  pause(): void {
    this.paused = true
  }
  resume(): void {
    this.paused = false
  }
  end(): void {
    this.ended = true
  }
  destroy(): void {
    this.ended = true
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written)
  }
}

export interface EdgeFixture {
  readonly edge: EdgeContext
  readonly log: CapturingLog
  readonly metrics: Metrics<MetricName>
  connect(): { readonly connection: MqttConnection; readonly transport: FakeTransport }
  /** Closes and settles all batches. */
  settle(): Promise<void>
  /** Value of a counter, summed over its labels. */
  count(name: MetricName): number
}

/** For tests: an edge without sockets. */
export function edgeFixture(
  options: {
    clock?: Clock
    partitions?: number
    pendingBytesMax?: number
    webSocketWaitingBytesMax?: number
    authenticate?: Authenticate
    isKnown?: IsKnown
    logger?: Logger
    quotas?: QuotaOptions
    onPresence?: OnPresence
    decodesSparkplug?: boolean
  } = {},
): EdgeFixture {
  const log = new CapturingLog(options.partitions)
  const metrics = new Metrics<MetricName>(metricsTable)
  const { partitions: _, ...others } = options
  const edge = openEdgeContext({
    clock: systemClock,
    logger: silentLogger,
    connectionsMax: 1000,
    ...others,
    log: log as unknown as Log,
    metrics,
    edgeId: 'edge-test',
    batchDelayMs: 1,
  })
  edge.capabilities.add(twinRefusal)
  return {
    edge,
    log,
    metrics,
    connect: () => {
      const transport = new FakeTransport()
      return { connection: new MqttConnection(edge, transport), transport }
    },
    settle: () => edge.batcher.drain(new AbortController().signal),
    count: (name) => metrics.samples().reduce((sum, [sample, , value]) => (sample === name ? sum + value : sum), 0),
  }
}

/** For tests: what an edge with sockets of its own is started with, whose log keeps what came. */
export function listeningEdgeOptions(log: CapturingLog, metrics = new Metrics<MetricName>(metricsTable)): EdgeOptions {
  return {
    log: log as unknown as Log,
    logger: silentLogger,
    metrics,
    edgeId: 'edge-test',
    bind: '127.0.0.1',
    mqttPort: 0,
    batchDelayMs: 2,
    connectionsMax: 100,
  }
}
