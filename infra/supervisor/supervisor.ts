/**
 * `npm start`: all roles on one machine, each a process of its own.
 *
 *   start   warehouse ▶ worker ▶ control ▶ edges      each waits until the one before is ready
 *   stop    edges ▶ worker ▶ control, warehouse       devices first, so that what they were told is on the log
 */

import type { FirstDevice, Status } from '#infra/roles/role-process.ts'
import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { mergedNoisiest } from './merge-noisiest.ts'
import { StatusLine } from './status-line.ts'
import { portSettings, type SupervisedOptions, SupervisedProcess } from './supervised-process.ts'
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
  const noisiest = new Map<SupervisedProcess, NoisiestReport>()
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
      onMessage: (message) => {
        switch (message.kind) {
          case 'take-over':
            for (const other of processes) if (other.role === 'edge' && other !== child) other.tell(message)
            return
          case 'ask-status':
            child.tell({ kind: 'status', askId: message.askId, status: statusOfAll() })
            return
          case 'noisiest':
            noisiest.set(child, message.report)
            return
          case 'ask-noisiest': {
            const report = mergedNoisiest([...noisiest.values()], message.countMax)
            child.tell({ kind: 'noisiest', askId: message.askId, report })
            return
          }
          case 'first-device':
            firstDevice = message.device
            return
        }
      },
      onRestart: () => {
        noisiest.delete(child)
        metrics.series('penstock_process_restarts_total', { role }).add(1)
      },
      onFatal: () => stopped(1),
    })
    processes.push(child)
    return child
  }
  const samples = () => [metrics.samples(), ...processes.map((child) => child.samples)]
  const statusOfAll = (): Status => ({
    ready: started && processes.every((child) => child.ready),
    metrics: metrics.render(samples()),
  })
  let started = false
  let firstDevice: FirstDevice | undefined
  const start = async (): Promise<void> => {
    const environment: Record<string, string> = {}
    let warehousePorts = {}
    if (settings.clickhouseUrl === undefined) {
      const warehouse = add('warehouse', 0, {})
      await warehouse.start()
      warehousePorts = warehouse.ports
      environment.PENSTOCK_CLICKHOUSE_URL = `http://${settings.bind}:${warehouse.ports.clickhouse}`
    }
    await add('worker', 0, environment).start()
    const edges: Record<string, string> = {}
    if (settings.identities === 'required') {
      const control = add('control', 0, { PENSTOCK_HTTP_PORT: '0', PENSTOCK_BIND: '127.0.0.1' })
      await control.start()
      edges.PENSTOCK_CONTROL_URL = `http://127.0.0.1:${control.ports.http}`
    }
    // With port 0 the first edge picks it, and the others share it.
    const first = add('edge', 0, edges)
    await first.start()
    const shared = { ...edges, ...portSettings(first.ports) }
    const others = Array.from({ length: settings.edgeProcesses - 1 }, (_, i) => add('edge', i + 1, shared).start())
    await Promise.all(others)
    started = true
    process.stdout.write(welcome(settings, { ...first.ports, ...warehousePorts }, firstDevice))
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
  for (const roles of [['edge'], ['worker'], ['control', 'warehouse']] as const) {
    await Promise.all(processes.filter(({ role }) => roles.some((name) => name === role)).map((child) => child.stop()))
  }
  return exitCode
}
