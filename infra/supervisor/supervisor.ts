/**
 * `npm start`: all roles on one machine, each a process of its own.
 *
 *   start   warehouse ▶ worker      side by side, so that devices connect also while ClickHouse is away
 *           control ▶ edges               the control role where identities are required; elsewhere once something asks for it
 *           router                        once routes lead to an endpoint
 *   stop    edges ▶ worker, router ▶ control, warehouse       devices first, so that what they were told is on the log
 */

import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { exportInstallation } from './export-installation.ts'
import { Installation } from './installation.ts'
import { startRoles } from './start-roles.ts'
import { StatusLine } from './status-line.ts'

/** Runs everything until SIGTERM, SIGINT or SIGHUP; resolves with the exit code. */
export async function runSupervisor(settings: Settings): Promise<number> {
  const logger = createLogger('supervisor', settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  let stopped: (exitCode: number) => void = () => {}
  const stopAsked = new Promise<number>((resolve) => {
    stopped = resolve
  })
  // SIGHUP: the terminal it was started in has closed.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => stopped(0))
  const installation = new Installation({
    settings,
    metrics,
    logger,
    onFatal: () => stopped(1),
    onSpans: (from, spans) => exported?.record(from, spans),
  })
  const exported = exportInstallation(settings, { processes: () => installation.processes, metrics, logger })
  const status = new StatusLine(() => ({ samples: installation.samples().flat() }), logger)
  const ending = new AbortController()
  const starting = startRoles(installation, settings, logger, ending.signal)
  const outcome = await Promise.race([stopAsked, starting.then(() => undefined)])
  if (outcome === undefined) status.start()
  const exitCode = outcome ?? (await stopAsked)
  status.stop()
  logger.info('stopping', { exitCode })
  ending.abort()
  process.on('SIGINT', () => {
    // A second Ctrl-C: whoever asks twice does not want to wait. Nothing acknowledged is lost by it.
    installation.killAll()
    process.exit(1)
  })
  await Promise.all([installation.stop(), exported?.close()])
  return exitCode
}
