/**
 * `npm start`: all roles on one machine, each a process of its own.
 *
 *   start   warehouse ▶ worker ▶ edges      each waits until the one before is ready
 *   stop    edges ▶ worker ▶ warehouse      devices first, so that what they were told is on the log
 */

import { serveHealth } from '#infra/roles/health.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { StatusLine } from './status-line.ts'
import { type SupervisedOptions, SupervisedProcess } from './supervised-process.ts'
import { welcome } from './welcome.ts'

/** Runs everything until SIGTERM or SIGINT; resolves with the exit code. */
export async function runSupervisor(settings: Settings): Promise<number> {
  const logger = createLogger('supervisor', settings.logLevel)
  const metrics = new Metrics<MetricName>(metricsTable)
  let stopped: (exitCode: number) => void = () => {}
  const stopAsked = new Promise<number>((resolve) => {
    stopped = resolve
  })
  process.on('SIGTERM', () => stopped(0))
  process.on('SIGINT', () => stopped(0))

  const processes: SupervisedProcess[] = []
  const add = (
    role: SupervisedOptions['role'],
    index: number,
    environment: Record<string, string>,
  ): SupervisedProcess => {
    const child: SupervisedProcess = new SupervisedProcess({
      role,
      index,
      environment,
      logger,
      onTakeOver: (clientId) => {
        for (const other of processes)
          if (other.role === 'edge' && other !== child) other.tell({ kind: 'take-over', clientId })
      },
      onRestart: () => metrics.series('penstock_process_restarts_total', { role }).add(1),
      onFatal: () => stopped(1),
    })
    processes.push(child)
    return child
  }
  const samples = () => [metrics.samples(), ...processes.map((child) => child.samples)]
  let started = false
  const ready = () => started && processes.every((child) => child.ready)
  const health = await serveHealth(settings, { ready, render: () => metrics.render(samples()) })
  const start = async (): Promise<void> => {
    const environment: Record<string, string> = {}
    if (settings.clickhouseUrl === undefined) {
      const warehouse = add('warehouse', 0, {})
      await warehouse.start()
      environment.PENSTOCK_CLICKHOUSE_URL = `http://${settings.bind}:${warehouse.ports.clickhouse}`
    }
    await add('worker', 0, environment).start()
    // With port 0 the first edge picks it, and the others share it.
    const first = add('edge', 0, {})
    await first.start()
    const shared = { PENSTOCK_MQTT_PORT: String(first.ports.mqtt) }
    const others = Array.from({ length: settings.edgeProcesses - 1 }, (_, i) => add('edge', i + 1, shared).start())
    await Promise.all(others)
    started = true
    process.stdout.write(welcome(settings, { ...first.ports, http: health.port, ...processes[0]?.ports }))
  }
  const status = new StatusLine(() => ({ samples: samples().flat() }), logger)
  const outcome = await Promise.race([stopAsked, start().then(() => undefined)])
  if (outcome === undefined) status.start()
  const exitCode = outcome ?? (await stopAsked)
  status.stop()
  logger.info('stopping', { exitCode })
  const again = () => {
    // A second Ctrl-C: whoever asks twice does not want to wait. Nothing acknowledged is lost by it.
    for (const child of processes) if (child.pid !== undefined) process.kill(child.pid, 'SIGKILL')
    process.exit(1)
  }
  process.on('SIGINT', again)
  for (const role of ['edge', 'worker', 'warehouse'] as const) {
    await Promise.all(processes.filter((child) => child.role === role).map((child) => child.stop()))
  }
  await health.close()
  return exitCode
}
