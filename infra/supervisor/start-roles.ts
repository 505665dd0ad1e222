import { freshConsole } from '#infra/console/build-console.ts'
import { consoleNote } from '#infra/console/console-note.ts'
import { warehouseUrl } from '#infra/roles/open-role-warehouse.ts'
import { sleep, systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'
import { checkBeforeStart, portsFree } from './before-start.ts'
import { endpointsWanted } from './endpoints-wanted.ts'
import type { Installation, Ports } from './installation.ts'
import { portSettings } from './supervised-process.ts'

/** So long `npm start` waits for what devices can do without, before it says that everything else is ready. */
const waitMsMax = 10_000

/**
 * Starts all roles; resolves once devices are served.
 * @param ending nothing more is started once it has aborted
 * @throws what `checkBeforeStart` and `portsFree` throw
 */
export async function startRoles(
  installation: Installation,
  settings: Settings,
  logger: Logger,
  ending: AbortSignal,
): Promise<void> {
  checkBeforeStart(settings)
  await buildConsole(logger)
  await portsFree(settings.bind, portsOf(settings), systemClock, logger)
  const warehouse = startWarehouse(installation, settings)
  const delivery = warehouse.then(() => startWorker(installation))
  const [warehousePorts, edgePorts] = await Promise.all([
    warehouse,
    startDevices(installation, settings, warehouse),
    delivery,
  ])
  const ports = { ...edgePorts, ...warehousePorts }
  installation.began(ports)
  void startRouter(installation, settings, ports, logger, ending)
}

/** Edges serve it as they find it. What is wrong with it stops nothing. */
async function buildConsole(logger: Logger): Promise<void> {
  try {
    const note = consoleNote(await freshConsole())
    if (note !== undefined) logger.warn(note)
  } catch (error) {
    logger.warn('the console could not be built', { error })
  }
}

/** What the edges will listen on; 0 is picked free. */
function portsOf(settings: Settings): number[] {
  const tls = settings.tlsCert === undefined ? [] : [settings.mqttsPort, settings.amqpsPort, settings.httpsPort]
  return [settings.mqttPort, settings.httpPort, ...tls].filter((port) => port !== 0)
}

/** The embedded engine, unless ClickHouse runs elsewhere. */
async function startWarehouse(installation: Installation, settings: Settings): Promise<Ports> {
  if (settings.clickhouseUrl !== undefined) return {}
  const { clickhousePort } = settings
  const environmentAt = (port: number) => ({
    PENSTOCK_CLICKHOUSE_URL: warehouseUrl(settings, port),
    PENSTOCK_CLICKHOUSE_READONLY_USER: 'readonly',
  })
  if (clickhousePort !== 0) installation.warehouseEnvironment = environmentAt(clickhousePort)
  const warehouse = installation.add('warehouse', 0, {})
  await warehouse.start()
  installation.warehouseEnvironment = environmentAt(warehouse.ports.clickhouse ?? clickhousePort)
  return warehouse.ports
}

async function startWorker(installation: Installation): Promise<void> {
  const worker = installation.add('worker', 0, installation.warehouseEnvironment).start()
  await Promise.race([worker, sleep(systemClock, waitMsMax)])
}

/** What serves devices. Where they need an identity, that is control first, which has to be told where the warehouse is. */
async function startDevices(installation: Installation, settings: Settings, warehouse: Promise<Ports>): Promise<Ports> {
  if (settings.identities === 'required') {
    const isPlaceKnown = settings.clickhouseUrl !== undefined || settings.clickhousePort !== 0
    if (!isPlaceKnown) await Promise.race([warehouse, sleep(systemClock, waitMsMax)])
    await installation.addControl().start()
  }
  return startEdges(installation, settings)
}

async function startEdges(installation: Installation, settings: Settings): Promise<Ports> {
  // With port 0 the first edge picks it, and the others share it.
  const first = installation.add('edge', 0, {})
  await first.start()
  const shared = portSettings(first.ports)
  const others = Array.from({ length: settings.edgeProcesses - 1 }, (_, i) =>
    installation.add('edge', i + 1, shared).start(),
  )
  await Promise.all(others)
  return first.ports
}

async function startRouter(
  installation: Installation,
  settings: Settings,
  ports: Ports,
  logger: Logger,
  ending: AbortSignal,
): Promise<void> {
  await endpointsWanted(settings, logger, ending)
  if (ending.aborted) return
  await installation.add('router', 0, { ...portSettings(ports), ...installation.warehouseEnvironment }).start()
}
