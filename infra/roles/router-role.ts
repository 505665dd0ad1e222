import { hostname } from 'node:os'
import { openRouting, type Routing } from '#control/open-routing.ts'
import { type ReplayReport, type RouterReport, reportMs } from '#control/routes/routes.ts'
import { SelectionTurns } from '#pipeline/routing/select/selection-turns.ts'
import { openDeadLetterBox } from '#pipeline/workers/dead-letters/dead-letter-box.ts'
import { Replays } from '#pipeline/workers/routed/replays.ts'
import type { RoutedLog } from '#pipeline/workers/routed/routed-log.ts'
import { Router } from '#pipeline/workers/routed/router.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { openHttpServer } from '#runtime/http/http.ts'
import { createLogger, type Logger } from '#runtime/logger.ts'
import { lowerPriority } from '#runtime/lower-priority.ts'
import { type MetricSample, Metrics } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { deliveredTopics } from '#schemas/log-topics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { callersOf } from './callers.ts'
import { DocumentWatch } from './document-watch.ts'
import { FallingBehind, lagSamples, reportOf } from './endpoint-reports.ts'
import { routeHealth } from './health.ts'
import { keepReplays } from './keep-replays.ts'
import { followDeviceSpread } from './open-device-spread.ts'
import { endpointOpener } from './open-role-endpoint.ts'
import { openRoleLog } from './open-role-log.ts'
import { openRoleWarehouse } from './open-role-warehouse.ts'
import { openRoleExport } from './role-export.ts'
import { reportSamples, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'
import { openRoutedTwins } from './routed-twins.ts'

/** Beside edges, worker and engine on one machine (the engine has 8): PUBACKs and the default table go first. What routes are late by is caught up. */
const nice = 12

/** Runs one router until it is told to stop: delivers the log to the endpoints of the document of routes. Several share partitions. */
export async function runRouter(settings: Settings): Promise<void> {
  const logger = createLogger('router', settings.logLevel)
  const error = supervised ? lowerPriority(0, nice) : undefined
  if (error !== undefined) logger.warn('routing runs at the priority of edge and worker', { error })
  const stopping = new AbortController()
  /** The last look at which replays are wanted. */
  let looking: Promise<readonly ReplayReport[]> = Promise.resolve([])
  let close = async (): Promise<void> => {}
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    stopping.abort()
    await close()
  })
  const basis = await openBasis(settings, logger)
  const { logs, routing, options } = basis
  const router = new Router(options)
  const replays = new Replays(options)
  let lags: readonly MetricSample[] = []
  const metrics = new Metrics<MetricName>(metricsTable)
  const samples = () => [...router.samples(), ...replays.samples(), ...lags, ...metrics.samples()]
  const exported = openRoleExport(settings, { role: 'router', name: 'router', samples, metrics, logger })
  const applying = new DocumentWatch(router, routing, logger)
  const health = supervised ? undefined : await healthServer(settings, samples, logger)
  close = async () => {
    await applying.close()
    await looking
    await Promise.all([router.close(), replays.close()])
    await Promise.all([health?.close(), basis.close(), exported.close()])
  }
  const falling = new FallingBehind(logger)
  reportSamples(samples)
  await applying.look()
  tellSupervisor('ready', {})
  logger.info('routing', { revision: router.revision, endpoints: router.runs.length })
  const name = `${hostname()}-${process.pid}`
  while (!stopping.signal.aborted) {
    looking = keepReplays(routing.store, router, replays, logger)
    const current = await reportOf(name, router, logs, settings.logRetentionHours * 3_600_000)
    falling.look(current)
    lags = lagSamples(current, logs)
    await report(routing, { ...current, replays: await looking }, logger)
    await applying.look()
    await sleep(systemClock, reportMs, stopping.signal)
  }
}

/** Logs, warehouse and document of routes. Rejects where one of them cannot be opened. */
async function openBasis(settings: Settings, logger: Logger) {
  const [hubName = ''] = settings.hostname.split(',')
  const logs: RoutedLog[] = []
  for (const kind of deliveredTopics) {
    const log = await openRoleLog(settings, logger, kind)
    const spread = kind === 'telemetry' ? await followDeviceSpread(settings, logger, log, 'router') : undefined
    logs.push({ kind, log, spread })
  }
  const deadLetterLog = await openRoleLog(settings, logger, 'dead-letters')
  const warehouse = openRoleWarehouse(settings)
  const routing = await openRouting({ ...settings, logger })
  const changes = logs.find(({ kind }) => kind === 'twin-events')?.log
  const routedTwins = openRoutedTwins(settings, logger, changes)
  const options = {
    logs,
    twins: routedTwins.twins,
    topicPrefix: settings.topicPrefix,
    hubName: hubName.trim(),
    interpreted: settings.routesInterpreted === 'yes',
    turns: new SelectionTurns(),
    open: endpointOpener(settings, hubName.trim()),
    deadLetters: openDeadLetterBox({ log: deadLetterLog, warehouse, logger }),
    logger,
    clock: systemClock,
  }
  return {
    logs,
    routing,
    options,
    async close(): Promise<void> {
      await routedTwins.close()
      for (const { spread } of logs) await spread?.close()
      const closing: readonly ({ close(): Promise<void> } | undefined)[] = [
        ...logs.map(({ log }) => log),
        deadLetterLog,
        warehouse,
        routing,
      ]
      await Promise.all(closing.map((each) => each?.close()))
    },
  }
}

async function report(routing: Routing, text: RouterReport, logger: Logger): Promise<void> {
  try {
    await routing.store.report(text)
  } catch (error) {
    if (!isPenstockError(error)) throw error
    logger.warn('how endpoints do could not be written down', { error })
  }
}

function healthServer(
  settings: Settings,
  samples: () => readonly MetricSample[],
  logger: Logger,
): ReturnType<typeof openHttpServer> {
  const metrics = new Metrics<MetricName>(metricsTable)
  return openHttpServer({
    host: settings.bind,
    port: settings.httpPort,
    callers: callersOf(settings, settings.bind),
    logger,
    routes: (routes) => routeHealth(routes, () => ({ ready: true, metrics: metrics.render([samples()]) })),
  })
}
