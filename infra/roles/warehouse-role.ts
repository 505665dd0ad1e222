import { join } from 'node:path'
import { checkEmbedded, startEmbeddedWarehouse } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { createLogger } from '#runtime/logger.ts'
import { urlHost } from '#runtime/loopback.ts'
import { lowerPriority } from '#runtime/lower-priority.ts'
import type { Settings } from '#schemas/settings.ts'
import { callersOf } from './callers.ts'
import { engineHost } from './open-role-warehouse.ts'
import { operatorLimits } from './operator-limits.ts'
import { askPasswords, stopOnSignal, supervised, tellSupervisor } from './role-process.ts'

/** Beside edges and worker on one machine inserts and queries take what these leave: devices wait for their PUBACK, rows on the log. */
const nice = 8

/** Runs the embedded ClickHouse engine behind its HTTP protocol until it is told to stop. */
export async function runWarehouse(given: Settings): Promise<void> {
  const settings = supervised ? { ...given, ...(await askPasswords()) } : given
  const logger = createLogger('warehouse', settings.logLevel)
  const dataDir = join(settings.dataDir, 'warehouse')
  // A supervisor has done so.
  if (!supervised) checkEmbedded(dataDir)
  // Before the engine has threads, which inherit it.
  const error = supervised ? lowerPriority(0, nice) : undefined
  if (error !== undefined) logger.warn('the engine runs at the priority of edge and worker', { error })
  const host = engineHost(settings)
  if (host !== settings.bind)
    logger.warn(
      `listens on ${host} only: for others set PENSTOCK_CLICKHOUSE_PASSWORD and PENSTOCK_CLICKHOUSE_READONLY_PASSWORD`,
      {
        bind: settings.bind,
      },
    )
  const warehouse = await startEmbeddedWarehouse({
    dataDir,
    bind: host,
    port: settings.clickhousePort,
    password: settings.clickhousePassword,
    analystPassword: settings.clickhouseAnalystPassword,
    readonlyPassword: settings.clickhouseReadonlyPassword,
    queryLogDays: settings.queryLogDays,
    limits: operatorLimits(settings),
    callers: callersOf(settings, host),
    confines: true,
    endsWithProcess: true,
    logger,
  })
  stopOnSignal(async (reason) => {
    logger.info('stopping', { reason })
    await warehouse.close()
  })
  tellSupervisor('ready', { clickhouse: warehouse.port })
  logger.info('listening', { clickhouse: `http://${urlHost(host)}:${warehouse.port}` })
}
