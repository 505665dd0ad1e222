import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import { openClickHouseSink } from '#pipeline/sinks/clickhouse/clickhouse-sink.ts'
import { watchViews } from '#pipeline/sinks/clickhouse/watch-views.ts'
import type { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { startWorker, type Worker } from '#pipeline/workers/worker.ts'
import { systemClock } from '#runtime/clock.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type BackOff, isTransient, retry } from '#runtime/retry.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import type { TableOptions } from '#schemas/telemetry-table.ts'
import { callersOf } from './callers.ts'
import { deliverEvents, type EventDelivery } from './deliver-events.ts'
import { endpointRetention } from './endpoint-retention.ts'
import { routeHealth } from './health.ts'
import { keepRetention } from './log-retention.ts'
import { openRoleLog, workerGroup } from './open-role-log.ts'
import { openRoleWarehouse } from './open-role-warehouse.ts'
import { reportEverySecond, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'
import { standstillText } from './standstill-text.ts'

/** Runs one worker until it is told to stop: delivers from the log to ClickHouse, and keeps the embedded log's retention. */
export async function runWorker(settings: Settings): Promise<void> {
  const logger = createLogger('worker', settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  const stopping = new AbortController()
  let ready = false
  let close = async (): Promise<void> => {}
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    ready = false
    stopping.abort()
    await close()
  })
  const log = await openRoleLog(settings, logger)
  const deadLetterLog = await openRoleLog(settings, logger, 'dead-letters')
  const warehouse = openRoleWarehouse(settings)
  const endpoints = endpointRetention(settings, logger)
  let telemetry: Worker | undefined
  let events: EventDelivery | undefined
  const samples = () => [...metrics.samples(), ...(events?.samples() ?? [])]
  const standstill = () =>
    telemetry === undefined
      ? 'delivery stands still: the worker waits for ClickHouse'
      : standstillText({ telemetry: telemetry.standstills(), 'device events': events?.standstills() ?? [] })
  const health = supervised
    ? undefined
    : await openHttpServer({
        host: settings.bind,
        port: settings.httpPort,
        callers: callersOf(settings, settings.bind),
        logger,
        routes: (router) =>
          routeHealth(router, () => {
            const text = standstill()
            // Delivering is all that a worker is there for.
            return { ready: ready && text === undefined, standstill: text, metrics: metrics.render([samples()]) }
          }),
      })
  let closeWorker = async (): Promise<void> => {}
  close = async () => {
    await closeWorker()
    await Promise.all([log.close(), deadLetterLog.close(), warehouse.close(), health?.close(), endpoints.close()])
  }
  // Also while the warehouse is away, which is when a log grows.
  if (settings.kafkaBrokers === undefined)
    void keepRetention({
      log,
      group: workerGroup(settings),
      endpoints,
      ageMsMax: settings.logRetentionHours * 3_600_000,
      partitionBytesMax: settings.logRetentionMegabytes * 1_000_000,
      logger,
      metrics,
      clock: systemClock,
      stopping: stopping.signal,
    })
  reportEverySecond(() => {
    tellSupervisor('samples', samples())
    tellSupervisor('standstill', standstill())
  })
  const sink = await openSinkWhenThere(settings, logger, stopping.signal, warehouse)
  if (sink === undefined) return
  const deadLetters = openDeadLetterBox({ log: deadLetterLog, warehouse, logger })
  const worker = await startWorker({
    log,
    group: workerGroup(settings),
    destination: sink,
    deadLetters,
    logger,
    metrics,
    insertDelayMs: settings.insertDelayMs,
  })
  void watchViews({
    warehouse,
    table: 'telemetry',
    logger,
    metrics,
    clock: systemClock,
    stopping: stopping.signal,
  })
  events = await deliverEvents(settings, warehouse, deadLetters, endpoints, logger)
  telemetry = worker
  closeWorker = async () => {
    await Promise.all([worker.close(), events?.close()])
  }
  ready = true
  tellSupervisor('ready', {})
  logger.info('delivering', { topic: log.topic, partitions: log.partitionCount })
  await Promise.all([worker.finished, events?.finished])
}

const warehouseBackOff: BackOff = { firstMs: 1_000, factor: 1, maxMs: 1_000, jitter: 0 }

/** Opens the sink; while the warehouse cannot be reached, tries again. `undefined` once the process is stopping. */
async function openSinkWhenThere(
  settings: Settings,
  logger: Logger,
  stopping: AbortSignal,
  warehouse: ReturnType<typeof openWarehouse>,
): Promise<TableSink | undefined> {
  const tables = tableOptions(settings)
  if (stopping.aborted) return undefined
  try {
    return await retry(() => openClickHouseSink({ warehouse, tables, logger }), {
      backOff: warehouseBackOff,
      clock: systemClock,
      until: stopping,
      onRetry: (error) => logger.warn('the warehouse cannot be reached yet', { error }),
    })
  } catch (error) {
    if (stopping.aborted && isTransient(error)) return undefined
    throw error
  }
}

/** @throws SETTINGS_INVALID: without replication the servers of a cluster would each hold a part that no one else sees */
function tableOptions(settings: Settings): TableOptions {
  const replicated = settings.clickhouseReplicated === 'yes'
  const cluster = settings.clickhouseCluster
  if (cluster !== undefined && !replicated)
    throw new PenstockError(
      'SETTINGS_INVALID',
      'PENSTOCK_CLICKHOUSE_CLUSTER needs PENSTOCK_CLICKHOUSE_REPLICATED=yes: its servers share rows by replication only',
    )
  return { replicated, cluster, ttlDays: settings.telemetryTtlDays }
}
