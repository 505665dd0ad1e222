/**
 * A backup of a whole installation, while it runs or not. docs/BACKUP.md argues why what is restored is one installation.
 *
 *   keys, routes ─▶ registry ─▶ ┌ positions stand still ─▶ tables frozen ─▶ snapshots of logs ┐ ─▶ parts and records copied ─▶ manifest
 *                               └───────────────── some tenths of a second ───────────────────┘
 *
 * The order is the argument: nothing that is copied later refers to something that was copied before and is missing there.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { copyRegistry, type RegistryPlace } from '#control/copy-registry.ts'
import type { CopyableLog, LogSnapshot } from '#pipeline/log/log-copy.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, systemClock } from '#runtime/clock.ts'
import { makePrivateFolder } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import { isDelivered } from '#schemas/log-topics.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { BackupFiles } from './backup-files.ts'
import { logFileOf } from './log-file.ts'
import { type Manifest, readManifest, registryAt, writeManifest } from './manifest.ts'
import { type DeliveredLog, whileHeld, whileStill } from './still-positions.ts'
import { copyParts, type FrozenTables, freezeQuietTables, thaw, untilInsertsEnd } from './tables.ts'

/** Where tables are. */
export type TablesPlace =
  | { readonly kind: 'embedded'; readonly warehouse: Warehouse; readonly engineFolder: string }
  /** @param destination of ClickHouse's BACKUP, e.g. `Disk('backups', 'monday')` */
  | { readonly kind: 'server'; readonly warehouse: Warehouse; readonly destination: string }

/** Where messages wait. */
export type LogsPlace =
  /** The logs that there are; those that are not delivered first. */
  | { readonly kind: 'embedded'; readonly logs: readonly CopyableLog[] }
  | { readonly kind: 'kafka'; readonly delivered: readonly DeliveredLog[] }

export interface BackUpOptions {
  /** Of the backup: empty, or not there yet. */
  readonly folder: string
  readonly registry: RegistryPlace
  readonly logs: LogsPlace
  readonly tables: TablesPlace
  /** Of Penstock. */
  readonly version: string
  readonly topicPrefix: string
  readonly clock?: Clock
}

/** Small files of the data folder that are copied as they are; routes before the key of their secrets, which is made with the first. */
export const keptFiles = ['routing', 'secrets-key', 'owner-key', 'tls', 'https'] as const

/** @throws BACKUP_TARGET_USED, BACKUP_REFUSED, and as the parts do; whatever is thrown, nothing of the backup is left */
export async function backUp(options: BackUpOptions): Promise<Manifest> {
  const folder = resolve(options.folder)
  const isMade = !existsSync(folder)
  if (!isMade && readdirSync(folder).length > 0)
    throw new PenstockError('BACKUP_TARGET_USED', `${folder} is not empty: name a folder of its own for each backup`)
  makePrivateFolder(folder)
  try {
    await fill(options, new BackupFiles(folder))
    return readManifest(folder)
  } catch (error) {
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true })
    if (isMade) rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function fill(options: BackUpOptions, files: BackupFiles): Promise<void> {
  const { registry: place, version, topicPrefix, clock = systemClock } = options
  const cutAtMs = clock.nowMs()
  for (const name of keptFiles) await copyKept(files, join(place.dataDir, name), `keys/${name}`)
  const registryFolder = join(files.folder, 'registry')
  mkdirSync(registryFolder, { mode: 0o700 })
  const registry = await copyRegistry(place, registryFolder)
  await files.add('registry')
  const copied = await copyMessages(options, files, clock)
  if (registry === undefined && copied.logs.length + copied.positions.length === 0)
    throw new PenstockError('BACKUP_REFUSED', `nothing was ever started in ${place.dataDir}: set PENSTOCK_DATA_DIR`)
  await files.sync()
  writeManifest(files.folder, {
    version,
    cutAtMs,
    topicPrefix,
    registryAt: registryAt(place),
    registry,
    ...copied,
    files: files.files,
  })
  await files.sync()
}

async function copyKept(files: BackupFiles, source: string, path: string): Promise<void> {
  const found = statSync(source, { throwIfNoEntry: false })
  if (found?.isDirectory()) await files.copyFolder(source, path)
  else if (found?.isFile()) await files.copy(source, path)
}

type CopiedMessages = Pick<Manifest, 'logs' | 'positions' | 'tables' | 'tablesAt'>

async function copyMessages(
  { logs, tables }: BackUpOptions,
  files: BackupFiles,
  clock: Clock,
): Promise<CopiedMessages> {
  if (logs.kind === 'kafka') {
    if (tables.kind === 'embedded')
      throw new PenstockError(
        'BACKUP_REFUSED',
        'the embedded engine behind Kafka is not backed up; use a ClickHouse server',
      )
    const { positions } = await whileStill(logs.delivered, () => backUpServer(tables))
    return { logs: [], positions, tables: undefined, tablesAt: tables.destination }
  }
  let frozen: FrozenTables | undefined
  let snapshots: readonly LogSnapshot[] = []
  try {
    await whileHeld(logs.logs, async () => {
      frozen = await takeTables(tables, clock)
      snapshots = snapshotsOf(logs.logs)
    })
    for (const snapshot of snapshots) await files.write(`logs/${snapshot.topic}.log`, logFileOf(snapshot))
    if (frozen) await copyParts(frozen, files)
  } finally {
    for (const snapshot of snapshots) snapshot.close()
    if (frozen) thaw(frozen)
  }
  return {
    logs: snapshots.map(({ topic }) => topic),
    positions: [],
    tables: frozen?.described,
    tablesAt: tables.kind === 'server' ? tables.destination : undefined,
  }
}

async function takeTables(tables: TablesPlace, clock: Clock): Promise<FrozenTables | undefined> {
  if (tables.kind === 'embedded') return await freezeQuietTables(tables.warehouse, tables.engineFolder, clock)
  await untilInsertsEnd(tables.warehouse, clock)
  await backUpServer(tables)
  return undefined
}

async function backUpServer({ warehouse, destination }: TablesPlace & { readonly kind: 'server' }): Promise<void> {
  await warehouse.command(`BACKUP DATABASE ${warehouseDatabase} TO ${destination}`)
}

/**
 * All in one turn of this process. The logs of dead letters and of partitions are looked at again behind the others, and if one grew, all of
 * them: a letter that an operator replays meanwhile is then replayed in both, or in neither, and partitions are added in both, or in neither.
 */
function snapshotsOf(logs: readonly CopyableLog[]): readonly LogSnapshot[] {
  const firstDelivered = logs.findIndex(({ topic }) => isDelivered(topic))
  assert(
    firstDelivered < 0 || logs.slice(firstDelivered).every(({ topic }) => isDelivered(topic)),
    'logs that are not delivered come first',
  )
  for (;;) {
    const snapshots = logs.map((log) => log.snapshot())
    const again = logs.filter(({ topic }) => !isDelivered(topic)).map((log) => log.snapshot())
    const rangesOf = (those: readonly LogSnapshot[]) => JSON.stringify(those.map(({ ranges }) => ranges))
    const isSame = rangesOf(again) === rangesOf(snapshots.slice(0, again.length))
    for (const snapshot of again) snapshot.close()
    if (isSame) return snapshots
    for (const snapshot of snapshots) snapshot.close()
  }
}
