/** `penstock restore <folder>`: a backup, put back into an installation that is empty. */
import { resolve } from 'node:path'
import { programVersion } from '#infra/console/built-console.ts'
import { openDelivered, startEngine } from '#infra/roles/installation-place.ts'
import { openRoleWarehouse } from '#infra/roles/open-role-warehouse.ts'
import { restore } from '#pipeline/operate/backup/restore.ts'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const usage = `penstock restore <folder>

  Puts a backup into PENSTOCK_DATA_DIR, which must be empty or not there yet, and into engines that have nothing of Penstock.
  Every file is looked at first. What breaks off leaves nothing; start Penstock afterwards, and look with: penstock verify
`

export const restoreCommand: Command = { usage, run: runRestore }

/** Of RESTORE on a server. */
const requestMsMax = 6 * 3_600_000

/** @throws CONTROL_COMMAND_INVALID, and as `restore` */
async function runRestore(settings: Settings, args: readonly string[]): Promise<number> {
  const { words } = argumentsOf(args, {}, invalid)
  const [folder, ...others] = words
  if (folder === undefined || others.length > 0) throw invalid('the folder of one backup is expected')
  const logger = createLogger('restore', settings.logLevel)
  const { dataDir, postgresUrl, topicPrefix } = settings
  const server = settings.clickhouseUrl === undefined ? undefined : openRoleWarehouse(settings, requestMsMax)
  const kafka = settings.kafkaBrokers === undefined ? undefined : await openDelivered(settings, logger)
  try {
    const { version, cutAtMs } = await restore({
      folder: resolve(folder),
      registry: { dataDir: resolve(dataDir), postgresUrl, logger },
      version: programVersion(),
      topicPrefix,
      openEngine: async (engineFolder) => {
        const { place, close } = await startEngine(engineFolder, { endsWithProcess: false, logger })
        return { warehouse: place, close }
      },
      server,
      kafka,
    })
    write(
      `restored as Penstock ${version} had it at ${new Date(cutAtMs).toISOString()}; once started, look with: penstock verify`,
    )
    return 0
  } finally {
    await Promise.all([server?.close(), ...(kafka ?? []).map(({ log }) => log.close())])
  }
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
