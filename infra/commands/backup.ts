/** `penstock backup`: registry, positions, messages and tables together, in a folder. */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { programVersion } from '#infra/console/built-console.ts'
import { openLogsPlace, openTablesPlace } from '#infra/roles/installation-place.ts'
import { backUp } from '#pipeline/operate/backup/back-up.ts'
import type { Manifest } from '#pipeline/operate/backup/manifest.ts'
import { verifyBackup } from '#pipeline/operate/backup/restore.ts'
import { isHalfRestored } from '#pipeline/operate/backup/staging.ts'
import { claimFolder, type FolderUse } from '#runtime/folder-use.ts'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const usage = `penstock backup <folder> [--tables-to <destination>]
penstock backup verify <folder>

  <folder>        gets registry, keys, routes, waiting messages with positions, and tables; it must be empty, or not there yet.
                  The installation may run: devices notice nothing, delivery pauses for some tenths of a second
  --tables-to     with a ClickHouse server: where its BACKUP puts the tables, e.g. "Disk('backups', 'monday')"
  verify          looks at every file by its size and checksum; exit code 1 if one is not as it was written
`

export const backupCommand: Command = { usage, run: runBackup }

/** @throws CONTROL_COMMAND_INVALID, BACKUP_TARGET_USED, BACKUP_REFUSED, and as the parts do */
async function runBackup(settings: Settings, args: readonly string[]): Promise<number> {
  const { words, flags } = argumentsOf(args, { 'tables-to': 'value' }, invalid)
  const [first, second, ...others] = words
  if (first === undefined || others.length > 0) throw invalid('the folder of the backup is expected')
  if (first === 'verify') {
    if (second === undefined || flags.size > 0) throw invalid('verify takes the folder of a backup')
    return await verified(resolve(second))
  }
  if (second !== undefined) throw invalid(`${second} is not expected`)
  write(textOf(await backedUp(settings, resolve(first), flags.get('tables-to')), settings))
  return 0
}

async function backedUp(settings: Settings, folder: string, destination: string | undefined): Promise<Manifest> {
  const { dataDir, postgresUrl, topicPrefix } = settings
  if (!existsSync(dataDir))
    throw new PenstockError('BACKUP_REFUSED', `there is no installation in ${dataDir}: set PENSTOCK_DATA_DIR`)
  if (isHalfRestored(dataDir))
    throw new PenstockError(
      'BACKUP_REFUSED',
      `a restore into ${dataDir} was not finished: run penstock restore again, or wait until it ends`,
    )
  const logger = createLogger('backup', settings.logLevel)
  const use = await claimed(dataDir)
  const closing: (() => Promise<void>)[] = []
  try {
    const tables = await openTablesPlace(settings, destination, logger)
    closing.push(tables.close)
    const logs = await openLogsPlace(settings, logger)
    closing.push(logs.close)
    return await backUp({
      folder,
      registry: { dataDir, postgresUrl, logger },
      logs: logs.place,
      tables: tables.place,
      version: programVersion(),
      topicPrefix,
    })
  } finally {
    for (const close of closing.reverse()) await close()
    use.end()
  }
}

/** Two at a time would freeze tables under one another. */
async function claimed(dataDir: string): Promise<FolderUse> {
  const use = await claimFolder(join(dataDir, 'backup.lock'), `${process.pid} of ${hostname()}`)
  if (typeof use !== 'string') return use
  throw new PenstockError('BACKUP_REFUSED', `another backup of ${dataDir} is under way, in process ${use}`)
}

async function verified(folder: string): Promise<number> {
  try {
    const manifest = await verifyBackup(folder)
    write(`${summaryOf(manifest)}\nevery file is as it was written`)
    return 0
  } catch (error) {
    if (!(error instanceof PenstockError) || !error.code.startsWith('BACKUP_')) throw error
    write(`${error.code}: ${error.message}`)
    return 1
  }
}

/** What was done, and what an operator has to keep besides. */
function textOf(manifest: Manifest, settings: Settings): string {
  const kept = [
    ['PENSTOCK_OWNER_KEY', settings.ownerKey],
    ['PENSTOCK_SECRETS_KEY', settings.secretsKey],
    ['PENSTOCK_TLS_CERT', settings.tlsCert],
    ['PENSTOCK_TLS_KEY', settings.tlsKey],
    ['PENSTOCK_UPLOADS', settings.uploads],
  ].flatMap(([name, value]) => (value === undefined ? [] : [name]))
  const outside =
    kept.length === 0 ? [] : [`Not in it, keep it yourself: what ${kept.join(', ')} name, and the settings`]
  const withoutRows = manifest.tables?.withoutRows ?? []
  const rows =
    withoutRows.length === 0 ? [] : [`NOT in it: the rows of ${withoutRows.join(', ')}, which are in no parts`]
  return [summaryOf(manifest), ...rows, ...outside].join('\n')
}

function summaryOf({ version, cutAtMs, registry, logs, positions, tables, tablesAt, files }: Manifest): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  const rows = (registry?.tables ?? []).reduce((sum, table) => sum + table.rows, 0)
  const parts = (tables?.tables ?? []).reduce((sum, table) => sum + (table.parts?.length ?? 0), 0)
  return [
    `Penstock ${version}, as it was at ${new Date(cutAtMs).toISOString()}: ${files.length} files, ${(bytes / 1e6).toFixed(1)} MB`,
    `registry: ${registry === undefined ? 'none yet' : `${rows} rows of schema version ${registry.schemaVersion}`}`,
    positions.length > 0 ? `positions on Kafka: ${positions.length} topics` : `logs: ${logs.join(', ') || 'none yet'}`,
    tablesAt === undefined
      ? `tables: ${tables?.tables.length ?? 0}, in ${parts} parts`
      : `tables: ${tablesAt} of the ClickHouse server`,
  ].join('\n')
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
