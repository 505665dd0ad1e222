/** Where the settings say that an installation keeps what a backup has. */
import { randomBytes } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { CopyableLog } from '#pipeline/log/log-copy.ts'
import { hasEmbeddedLog, openCopyableLog } from '#pipeline/log/open/open-log.ts'
import type { LogsPlace, TablesPlace } from '#pipeline/operate/backup/back-up.ts'
import type { DeliveredLog } from '#pipeline/operate/backup/still-positions.ts'
import { startEmbeddedWarehouse } from '#pipeline/warehouse/embedded/start-embedded.ts'
import { openWarehouse } from '#pipeline/warehouse/open-warehouse.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import type { Logger } from '#runtime/logger.ts'
import { killAfter } from '#runtime/process-end.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { deliveredTopics, groupOnTopic, type LogTopicName, logTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { openRoleLog, workerGroup } from './open-role-log.ts'
import { openRoleWarehouse } from './open-role-warehouse.ts'

/** What is opened is closed by whoever asked for it. */
export interface Opened<T> {
  readonly place: T
  close(): Promise<void>
}

/** An engine may stand still in its end, and with it the thread that waits. */
const engineEndMsMax = 5 * 60_000

/** A backup of a server's tables takes its time. */
const requestMsMax = 6 * 3_600_000

const topicsLettersFirst: readonly LogTopicName[] = ['dead-letters', 'partitions', ...deliveredTopics]

/** The logs that there are; on Kafka with the groups that fill tables. */
export async function openLogsPlace(settings: Settings, logger: Logger): Promise<Opened<LogsPlace>> {
  if (settings.kafkaBrokers !== undefined) {
    const delivered = await openDelivered(settings, logger)
    return { place: { kind: 'kafka', delivered }, close: () => closeAll(delivered.map(({ log }) => log)) }
  }
  const logs: CopyableLog[] = []
  const dataDir = join(settings.dataDir, 'log')
  for (const name of topicsLettersFirst) {
    const topic = logTopic(settings.topicPrefix, name)
    if (await hasEmbeddedLog(dataDir, topic))
      logs.push(await openCopyableLog({ kind: 'lmdb', dataDir, topic, partitionCount: undefined, logger }))
  }
  return { place: { kind: 'embedded', logs }, close: () => closeAll(logs) }
}

/** Logs on Kafka, each with the group that fills its table. */
export async function openDelivered(settings: Settings, logger: Logger): Promise<readonly DeliveredLog[]> {
  return await Promise.all(
    deliveredTopics.map(async (topic) => ({
      log: await openRoleLog(settings, logger, topic),
      group: groupOnTopic(workerGroup(settings), topic),
    })),
  )
}

/**
 * The engine of this data folder: the one that runs, or one that is started for as long as it is needed.
 * @param destination where a ClickHouse server puts its backup @throws CONTROL_COMMAND_INVALID
 */
export async function openTablesPlace(
  settings: Settings,
  destination: string | undefined,
  logger: Logger,
): Promise<Opened<TablesPlace>> {
  const running = openRoleWarehouse(settings, requestMsMax)
  const close = () => running.close()
  if (settings.clickhouseUrl !== undefined) {
    if (destination !== undefined) return { place: { kind: 'server', warehouse: running, destination }, close }
    throw new PenstockError(
      'CONTROL_COMMAND_INVALID',
      "tables are on a ClickHouse server, which backs them up itself: say where to, as its BACKUP does: --tables-to \"Disk('backups', 'monday')\"",
    )
  }
  if (destination !== undefined)
    throw new PenstockError(
      'CONTROL_COMMAND_INVALID',
      '--tables-to is for a ClickHouse server; tables of the embedded engine are in the backup',
    )
  const folder = join(settings.dataDir, 'warehouse')
  const engineFolder = join(folder, 'engine')
  if (await isEngineOf(running, engineFolder))
    return { place: { kind: 'embedded', warehouse: running, engineFolder }, close }
  await close()
  const engine = await startEngine(folder, { endsWithProcess: true, logger })
  return { place: { kind: 'embedded', warehouse: engine.place, engineFolder }, close: engine.close }
}

/** Another installation may listen on the same port. */
async function isEngineOf(warehouse: Warehouse, engineFolder: string): Promise<boolean> {
  if (!existsSync(engineFolder)) return false
  try {
    const [disk] = await warehouse.query("SELECT path FROM system.disks WHERE name = 'default'")
    return realpathSync(String(disk?.path)) === realpathSync(engineFolder)
  } catch (error) {
    if (isPenstockError(error, 'WAREHOUSE_UNAVAILABLE')) return false
    throw error
  }
}

/**
 * The embedded engine on a folder, for this process alone.
 * @param endsWithProcess true: the folder is in use until the process has ended, also once it is closed. False: it is free once it is
 * closed, and the process is killed if the engine cannot end
 * @throws WAREHOUSE_LOCKED
 */
export async function startEngine(
  dataDir: string,
  { endsWithProcess, logger }: { readonly endsWithProcess: boolean; readonly logger: Logger },
): Promise<Opened<Warehouse>> {
  const bind = '127.0.0.1'
  const password = randomBytes(24).toString('base64url')
  const users = { password, readonlyPassword: password }
  const engine = await startEmbeddedWarehouse({ dataDir, bind, port: 0, ...users, endsWithProcess, logger })
  const warehouse = openWarehouse({ url: `http://${bind}:${engine.port}`, user: 'default', password, requestMsMax })
  return {
    place: warehouse,
    close: async () => {
      await warehouse.close()
      const spare = killAfter(engineEndMsMax)
      await engine.close()
      await spare()
    },
  }
}

async function closeAll(logs: readonly { close(): Promise<void> }[]): Promise<void> {
  await Promise.all(logs.map((log) => log.close()))
}
