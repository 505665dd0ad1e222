import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import type { Log } from '#pipeline/log/log.ts'
import { openClickHouseSink } from '#pipeline/sinks/clickhouse/clickhouse-sink.ts'
import { prepareAnalystTables } from '#pipeline/sinks/clickhouse/clickhouse-tables.ts'
import { watchViews } from '#pipeline/sinks/clickhouse/watch-views.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { systemClock } from '#runtime/clock.ts'
import { type HttpServer, openHttpServer } from '#runtime/http/http.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { type MetricSample, Metrics } from '#runtime/metrics.ts'
import { type BackOff, isTransient, retry } from '#runtime/retry.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { callersOf } from './callers.ts'
import { Delivery } from './delivery.ts'
import { endpointRetention } from './endpoint-retention.ts'
import { routeHealth } from './health.ts'
import { keepRetention } from './log-retention.ts'
import { followDeviceSpread } from './open-device-spread.ts'
import { openRoleLog, workerGroup } from './open-role-log.ts'
import { openRoleWarehouse, tableOptions } from './open-role-warehouse.ts'
import { openRoleExport } from './role-export.ts'
import { reportEverySecond, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'
import { keepRoleLatest } from './role-summaries.ts'
import { undeliveredText } from './undelivered-text.ts'

/** What a worker stands on. */
interface WorkerBasis {
  readonly settings: Settings
  readonly metrics: Metrics<MetricName>
  readonly logger: Logger
  readonly stopping: AbortSignal
  readonly log: Log
  readonly spread: DeviceSpread
  readonly deadLetterLog: Log
  readonly warehouse: Warehouse
  readonly endpoints: ReturnType<typeof endpointRetention>
}

/** Runs one worker until it is told to stop: delivers from the log to ClickHouse, and keeps the embedded log's retention. */
export async function runWorker(settings: Settings): Promise<void> {
  const stopping = new AbortController()
  const basis = await openBasis(settings, stopping.signal)
  const { logger, log, spread, deadLetterLog, warehouse, endpoints } = basis
  const samples = (): MetricSample[] => delivery.samples()
  const exported = openRoleExport(settings, { ...basis, role: 'worker', name: 'worker', topic: log.topic, samples })
  const delivery: Delivery = new Delivery({ ...basis, spans: exported.spans })
  const health = supervised ? undefined : await openHealth(basis, delivery)
  const stopLatest = keepRoleLatest(settings, () => delivery.isFirst, logger)
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    stopping.abort()
    await stopLatest?.()
    await delivery.close()
    await exported.close()
    await spread.close()
    await Promise.all([log.close(), deadLetterLog.close(), warehouse.close(), health?.close(), endpoints.close()])
  })
  // Also while the warehouse is away, which is when a log grows.
  if (settings.kafkaBrokers === undefined) void keepTelemetryRetention(basis)
  reportEverySecond(() => {
    tellSupervisor('samples', delivery.samples())
    tellSupervisor('standstill', delivery.standstill())
  })
  const sink = await openSinkWhenThere(basis)
  if (sink === undefined) return
  await delivery.begin(sink)
  void watchTelemetryViews(basis)
  tellSupervisor('ready', {})
  void makeAnalystTables(basis)
  logger.info('delivering', { topic: log.topic, partitions: log.partitionCount })
  await delivery.finished()
}

async function openBasis(settings: Settings, stopping: AbortSignal): Promise<WorkerBasis> {
  const logger = createLogger('worker', settings.logLevel)
  const log = await openRoleLog(settings, logger)
  return {
    settings,
    metrics: new Metrics<MetricName>(metricsTable),
    logger,
    stopping,
    log,
    spread: await followDeviceSpread(settings, logger, log, 'worker'),
    deadLetterLog: await openRoleLog(settings, logger, 'dead-letters'),
    warehouse: openRoleWarehouse(settings),
    endpoints: endpointRetention(settings, logger),
  }
}

/** Of a worker that runs alone, about itself. */
function openHealth({ settings, metrics, logger }: WorkerBasis, delivery: Delivery): Promise<HttpServer> {
  return openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    callers: callersOf(settings, settings.bind),
    logger,
    routes: (router) =>
      routeHealth(router, () => {
        const standstill = delivery.standstill()
        // Delivering is all that a worker is there for.
        const ready = delivery.isRunning && standstill === undefined
        const samples = delivery.samples()
        return { ready, standstill, undelivered: undeliveredText(samples), metrics: metrics.render([samples]) }
      }),
  })
}

function keepTelemetryRetention({ settings, log, endpoints, logger, metrics, stopping }: WorkerBasis): Promise<void> {
  return keepRetention({
    log,
    group: workerGroup(settings),
    endpoints,
    ageMsMax: settings.logRetentionHours * 3_600_000,
    partitionBytesMax: settings.logRetentionMegabytes * 1_000_000,
    logger,
    metrics,
    clock: systemClock,
    stopping,
  })
}

function watchTelemetryViews({ warehouse, logger, metrics, stopping }: WorkerBasis): Promise<void> {
  return watchViews({ warehouse, table: 'telemetry', logger, metrics, clock: systemClock, stopping })
}

/** Beside delivery, which needs none of them. Whoever fills them waits until they are there. */
async function makeAnalystTables({ settings, warehouse, logger, stopping }: WorkerBasis): Promise<void> {
  try {
    await retry(() => prepareAnalystTables(warehouse, tableOptions(settings), logger), {
      backOff: warehouseBackOff,
      clock: systemClock,
      until: stopping,
    })
  } catch (error) {
    if (!isPenstockError(error)) throw error
    if (!stopping.aborted) logger.warn('tables for analysts are not made', { error })
  }
}

const warehouseBackOff: BackOff = { firstMs: 1_000, factor: 1, maxMs: 1_000, jitter: 0 }

/** Opens the sink; while the warehouse cannot be reached, tries again. `undefined` once the process is stopping. */
async function openSinkWhenThere({
  settings,
  warehouse,
  logger,
  stopping,
}: WorkerBasis): Promise<TableSink | undefined> {
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
