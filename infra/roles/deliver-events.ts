import { openClickHouseSink } from '#pipeline/sinks/clickhouse/clickhouse-sink.ts'
import { watchViews } from '#pipeline/sinks/clickhouse/watch-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { startWorker, type Worker } from '#pipeline/workers/worker.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type MetricSample, Metrics } from '#runtime/metrics.ts'
import { groupOnTopic } from '#schemas/log-topics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { eventsWanted, twinEventsWanted } from './events.ts'
import { type EndpointRetention, keepRetention } from './log-retention.ts'
import { openRoleLog, workerGroup } from './open-role-log.ts'

export interface EventDelivery extends Omit<Worker, 'delivers'> {
  /** Its counters, under names of their own: lag and rows of events are not those of telemetry. */
  samples(): readonly MetricSample[]
}

/** What a worker counts, as it is called for events; the rest is not shown. */
const eventNames: Readonly<Partial<Record<string, MetricName>>> = {
  penstock_worker_rows_stored_total: 'penstock_events_rows_stored_total',
  penstock_worker_insert_failures_total: 'penstock_events_insert_failures_total',
  penstock_worker_dead_letters_total: 'penstock_events_dead_letters_total',
  penstock_worker_lag_records: 'penstock_events_lag_records',
  penstock_worker_lag_seconds: 'penstock_events_lag_seconds',
  penstock_log_positions_lost_total: 'penstock_events_positions_lost_total',
  penstock_worker_partitions_standing_still: 'penstock_events_partitions_standing_still',
  penstock_worker_views: 'penstock_events_views',
  penstock_worker_views_failing: 'penstock_events_views_failing',
} satisfies Partial<Record<MetricName, MetricName>>

/** Events of one kind: what they are called in metrics, and their table. */
const kinds = {
  events: { label: 'device', table: 'device_events', isWanted: eventsWanted },
  'twin-events': { label: 'twin', table: 'twin_events', isWanted: twinEventsWanted },
} as const

/** Topics of events. */
export type EventTopic = keyof typeof kinds

function eventSample([name, labels, value]: MetricSample, label: string): readonly MetricSample[] {
  const eventName = eventNames[name]
  const own = [`events="${label}"`, labels].filter((text) => text !== '').join(',')
  return eventName === undefined ? [] : [[eventName, own, value]]
}

/**
 * Delivers events as telemetry is delivered, from their own topic to their own table; the tables are there already.
 * @returns `undefined` where none are wanted
 */
export async function deliverEvents(
  topic: EventTopic,
  settings: Settings,
  warehouse: Warehouse,
  deadLetters: ReturnType<typeof openDeadLetterBox>,
  endpoints: EndpointRetention,
  logger: Logger,
): Promise<EventDelivery | undefined> {
  const { label, table, isWanted } = kinds[topic]
  if (!isWanted(settings)) return undefined
  const log = await openRoleLog(settings, logger, topic)
  const tables = { replicated: settings.clickhouseReplicated === 'yes', ttlDays: 0 }
  const metrics = new Metrics<MetricName>(metricsTable)
  const group = groupOnTopic(workerGroup(settings), topic)
  const worker = await startWorker({
    log,
    group,
    destination: await openClickHouseSink({ warehouse, tables, tablesReady: true, table, logger }),
    deadLetters,
    logger,
    metrics,
    insertDelayMs: settings.insertDelayMs,
  })
  const stopping = new AbortController()
  const watching = watchViews({
    warehouse,
    table,
    logger,
    metrics,
    clock: systemClock,
    stopping: stopping.signal,
  })
  const retention =
    settings.kafkaBrokers === undefined
      ? keepRetention({
          log,
          group,
          endpoints,
          ageMsMax: settings.logRetentionHours * 3_600_000,
          partitionBytesMax: settings.logRetentionMegabytes * 1_000_000,
          logger,
          metrics,
          clock: systemClock,
          stopping: stopping.signal,
        })
      : undefined
  return {
    finished: worker.finished,
    standstills: () => worker.standstills(),
    samples: () => metrics.samples().flatMap((sample) => eventSample(sample, label)),
    close: async () => {
      stopping.abort()
      await Promise.all([worker.close(), retention, watching])
      await log.close()
    },
  }
}
