import { Batcher } from '#ingest/batches/batcher.ts'
import type { AppendedRecord } from '#ingest/batches/partition-batcher.ts'
import { type QuotaOptions, unlimitedQuotas } from '#ingest/quotas/quota-settings.ts'
import { Quotas } from '#ingest/quotas/quotas.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { Capabilities } from './capabilities.ts'
import type { Announce, EdgeConnection, EdgeContext, EdgeCounters, OnPresence } from './edge-context.ts'
import { NameRoom } from './name-room.ts'
import { pauseAll } from './pause-all.ts'
import { type Authenticate, type IsKnown, trustClientId } from './principal.ts'
import { RefusalLog, type ToldRefusal } from './refusal-log.ts'

export interface EdgeContextOptions {
  readonly log: Log
  /** Of that log; left out: it never grows. */
  readonly spread?: DeviceSpread | undefined
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  /** Name of this edge process, stable over restarts. */
  readonly edgeId: string
  readonly batchDelayMs: number
  readonly connectionsMax: number
  /** Hears of each record that the log confirmed; left out: nobody does. */
  readonly onAppended?: ((appended: AppendedRecord) => void) | undefined
  /** Hears of the refusals that the log tells. */
  readonly onRefused?: ((refused: ToldRefusal) => void) | undefined
  /** Left out: the client id is believed. */
  readonly authenticate?: Authenticate | undefined
  /** Left out: no device needs a look-up. */
  readonly isKnown?: IsKnown | undefined
  readonly announce?: Announce | undefined
  readonly onPresence?: OnPresence | undefined
  /** Left out: no limits. */
  readonly quotas?: QuotaOptions | undefined
  /** Left out: payloads of Sparkplug are stored as they come. */
  readonly decodesSparkplug?: boolean | undefined
  readonly pendingBytesMax?: number | undefined
  readonly webSocketWaitingBytesMax?: number | undefined
}

export function openEdgeContext(options: EdgeContextOptions): EdgeContext {
  const { log, spread, logger, metrics, clock, edgeId, batchDelayMs } = options
  const connections = new Set<EdgeConnection>()
  const batcher = new Batcher({
    log,
    spread,
    edgeId,
    epoch: clock.nowMs(),
    clock,
    logger,
    metrics,
    batchDelayMs,
    onAppended: options.onAppended,
    pendingBytesMax: options.pendingBytesMax ?? limits.edgePendingBytesMax,
    onFull: () => pauseAll(connections, batcher),
  })
  return {
    batcher,
    clock,
    logger,
    metrics,
    authenticate: options.authenticate ?? trustClientId,
    isKnown: options.isKnown ?? (() => true),
    connectionsMax: options.connectionsMax,
    connections,
    waiting: new Set(),
    webSocketWaiting: { bytes: 0, bytesMax: options.webSocketWaitingBytesMax ?? limits.webSocketsWaitingBytesMax },
    refusals: new RefusalLog(logger, options.onRefused),
    quotas: new Quotas(options.quotas ?? unlimitedQuotas, clock, metrics),
    sessions: new Map(),
    capabilities: new Capabilities(),
    counters: countersOf(metrics),
    ticks: 0,
    unstoredMessages: 0,
    draining: false,
    sparkplugNames: options.decodesSparkplug ? new NameRoom() : undefined,
    announce: options.announce ?? (() => {}),
    onPresence: options.onPresence ?? (() => {}),
  }
}

function countersOf(metrics: Metrics<MetricName>): EdgeCounters {
  return {
    connections: metrics.series('penstock_edge_connections'),
    opened: metrics.series('penstock_edge_connections_opened_total'),
    receivedQos0: metrics.series('penstock_edge_messages_received_total', { qos: '0' }),
    receivedQos1: metrics.series('penstock_edge_messages_received_total', { qos: '1' }),
    receivedHttp: metrics.series('penstock_edge_messages_received_total', { qos: 'http' }),
    receivedAmqp: metrics.series('penstock_edge_messages_received_total', { qos: 'amqp' }),
    acknowledged: metrics.series('penstock_edge_messages_acknowledged_total'),
    delivered: metrics.series('penstock_edge_messages_delivered_total'),
  }
}
