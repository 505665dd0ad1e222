/**
 * `npm start`: all roles on one machine, each a process of its own.
 *
 *   start   warehouse ▶ worker      side by side, so that devices connect also while ClickHouse is away
 *           control ▶ edges               the control role where identities are required; elsewhere once something asks for it
 *           router                        once routes lead to an endpoint
 *   stop    edges ▶ worker, router ▶ control, warehouse       devices first, so that what they were told is on the log
 */

import { warehouseUrl } from '#infra/roles/open-role-warehouse.ts'
import type { ControlState, FirstDevice, Status } from '#infra/roles/role-contract.ts'
import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import { createLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'
import type { Settings } from '#schemas/settings.ts'
import { checkBeforeStart, portsFree } from './before-start.ts'
import { ControlOnDemand } from './control-on-demand.ts'
import { endpointsWanted } from './endpoints-wanted.ts'
import { mergedNoisiest } from './merge-noisiest.ts'
import { SilenceWatch } from './silence-watch.ts'
import { StatusLine } from './status-line.ts'
import { portSettings, type SupervisedOptions, SupervisedProcess } from './supervised-process.ts'
import { welcome, welcomeDevice } from './welcome.ts'

/** So long `npm start` waits for what devices can do without, before it says that everything else is ready. */
const waitMsMax = 10_000

const workerAway = 'delivery stands still: no worker runs'

/** What the edges will listen on; 0 is picked free. */
function portsOf(settings: Settings): number[] {
  const tls = settings.tlsCert === undefined ? [] : [settings.mqttsPort, settings.httpsPort]
  return [settings.mqttPort, settings.httpPort, ...tls].filter((port) => port !== 0)
}

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

  const required = settings.identities === 'required'
  const processes: SupervisedProcess[] = []
  const noisiest = new Map<SupervisedProcess, NoisiestReport>()
  const add = (
    role: SupervisedOptions['role'],
    index: number,
    environment: Record<string, string>,
    onEnded?: () => void,
  ): SupervisedProcess => {
    const child: SupervisedProcess = new SupervisedProcess({
      role,
      index,
      environment,
      logger,
      handlers: {
        questions: {
          status: () => statusOfAll(),
          noisiestOfAll: (countMax) => mergedNoisiest([...noisiest.values()], countMax),
          passwords: () => {
            const { clickhousePassword, clickhouseAnalystPassword, clickhouseReadonlyPassword } = settings
            return { clickhousePassword, clickhouseAnalystPassword, clickhouseReadonlyPassword }
          },
        },
        pushes: {
          takeOver: (takenOver) => {
            for (const other of processes)
              if (other.role === 'edge' && other !== child) other.tell('takeOver', takenOver)
          },
          noisiest: (report) => void noisiest.set(child, report),
          standstill: (text) => {
            standstill = text
          },
          firstDevice: (device) => {
            firstDevice = device
          },
          needsControl: () => {
            demanded?.want()
            child.tell('control', controlState())
          },
        },
      },
      onReady: () => tellControl(),
      onRestart: () => {
        noisiest.delete(child)
        if (role === 'worker') standstill = workerAway
        metrics.series('penstock_process_restarts_total', { role }).add(1)
      },
      // Endpoints are no reason to turn devices away.
      onFatal: () => role === 'router' || stopped(1),
      onEnded,
    })
    processes.push(child)
    return child
  }
  /** Where the warehouse is, once that is known. */
  const deliveryEnvironment: Record<string, string> = {}
  const addControl = (onEnded?: () => void) =>
    add('control', 0, { ...deliveryEnvironment, PENSTOCK_HTTP_PORT: '0', PENSTOCK_BIND: '127.0.0.1' }, onEnded)
  const demanded = required
    ? undefined
    : new ControlOnDemand({
        create: (onEnded) => {
          processes.splice(0, processes.length, ...processes.filter(({ role }) => role !== 'control'))
          return addControl(onEnded)
        },
        onState: () => {
          tellControl()
          // Before that, `welcome` shows the device.
          if (started && controlState().state === 'running')
            process.stdout.write(welcomeDevice(settings, ports, firstDevice))
        },
        clock: systemClock,
        logger,
      })
  const controlState = (): ControlState => {
    if (demanded !== undefined) return demanded.state
    const port = processes.find(({ role, ready }) => role === 'control' && ready)?.ports.http
    return port === undefined ? { state: 'away' } : { state: 'running', url: `http://127.0.0.1:${port}` }
  }
  /** Edges pass to it what is not theirs. */
  const tellControl = (): void => {
    for (const child of processes) if (child.role === 'edge') child.tell('control', controlState())
  }
  const samples = () => [metrics.samples(), ...processes.map((child) => child.samples)]
  const silence = new SilenceWatch(() => processes, systemClock, logger)
  const statusOfAll = (): Status => {
    const silent = silence.silent()
    return {
      // What delivers may be away: the log takes the load.
      ready:
        started && processes.every(({ role, ready, name }) => role !== 'edge' || (ready && !silent.includes(name))),
      standstill,
      metrics: metrics.render(samples()),
      silent,
    }
  }
  /** As the worker tells it; of one that ended, until the next one speaks. */
  let standstill: string | undefined = workerAway
  let started = false
  let ports: Readonly<Record<string, number>> = {}
  let firstDevice: FirstDevice | undefined
  const startDelivery = async (): Promise<Readonly<Record<string, number>>> => {
    let ports: Readonly<Record<string, number>> = {}
    if (settings.clickhouseUrl === undefined) {
      const warehouse = add('warehouse', 0, {})
      await warehouse.start()
      ports = warehouse.ports
      deliveryEnvironment.PENSTOCK_CLICKHOUSE_URL = warehouseUrl(settings, ports.clickhouse ?? 0)
    }
    const worker = add('worker', 0, deliveryEnvironment).start()
    await Promise.race([worker, sleep(systemClock, waitMsMax)])
    return ports
  }
  const startEdges = async (): Promise<Readonly<Record<string, number>>> => {
    // With port 0 the first edge picks it, and the others share it.
    const first = add('edge', 0, {})
    await first.start()
    const shared = portSettings(first.ports)
    const others = Array.from({ length: settings.edgeProcesses - 1 }, (_, i) => add('edge', i + 1, shared).start())
    await Promise.all(others)
    return first.ports
  }
  const ending = new AbortController()
  const startRouter = async (): Promise<void> => {
    await endpointsWanted(settings, logger, ending.signal)
    if (!ending.signal.aborted) await add('router', 0, { ...portSettings(ports), ...deliveryEnvironment }).start()
  }
  const start = async (): Promise<void> => {
    checkBeforeStart(settings)
    await portsFree(settings.bind, portsOf(settings), systemClock, logger)
    const edges = required ? addControl().start().then(startEdges) : startEdges()
    const [warehousePorts, edgePorts] = await Promise.all([startDelivery(), edges])
    started = true
    ports = { ...edgePorts, ...warehousePorts }
    process.stdout.write(welcome(settings, ports, firstDevice))
    void startRouter()
  }
  const status = new StatusLine(() => ({ samples: samples().flat() }), logger)
  silence.start()
  const outcome = await Promise.race([stopAsked, start().then(() => undefined)])
  if (outcome === undefined) status.start()
  const exitCode = outcome ?? (await stopAsked)
  status.stop()
  silence.stop()
  logger.info('stopping', { exitCode })
  ending.abort()
  const again = () => {
    // A second Ctrl-C: whoever asks twice does not want to wait. Nothing acknowledged is lost by it.
    for (const child of processes) if (child.pid !== undefined) process.kill(child.pid, 'SIGKILL')
    process.exit(1)
  }
  process.on('SIGINT', again)
  for (const roles of [['edge'], ['worker', 'router'], ['control', 'warehouse']] as const) {
    await Promise.all(processes.filter(({ role }) => roles.some((name) => name === role)).map((child) => child.stop()))
  }
  return exitCode
}
