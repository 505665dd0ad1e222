/**
 * A backup put back into a data folder that is empty, and into engines that have nothing of Penstock yet.
 *
 *   checked ─▶ claimed ─▶ filled below <data folder>/.restoring ─▶ moved to its place, name by name ─▶ .restoring removed
 *
 * Where it breaks off, all of it is removed; where it is killed, `.restoring` is left: then nothing starts on the folder, and the next
 * restore begins anew.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { forgetRegistry, type RegistryPlace, renewEndpoints, restoreRegistry } from '#control/copy-registry.ts'
import { restoreLog } from '#pipeline/log/open/open-log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { claimFolder } from '#runtime/folder-use.ts'
import { makePrivateFolder } from '#runtime/private-files.ts'
import { PenstockError } from '#schemas/errors.ts'
import { deliveredTopics, groupOnTopic } from '#schemas/log-topics.ts'
import { endpointGroup } from '#schemas/routing/routing.ts'
import { warehouseDatabase } from '#schemas/telemetry-table.ts'
import { onDisk, verifyFiles } from './backup-files.ts'
import { readLogFile } from './log-file.ts'
import { assertRestorable, type BackedUpTables, type Manifest, readManifest, registryAt } from './manifest.ts'
import { isHalfRestored, stagingFolder } from './staging.ts'
import { type DeliveredLog, setPositions } from './still-positions.ts'
import { restoreTables } from './tables.ts'

export interface RestoreOptions {
  /** Of the backup. */
  readonly folder: string
  readonly registry: RegistryPlace
  /** Of Penstock. */
  readonly version: string
  readonly topicPrefix: string
  /** Opens the embedded engine on a folder that is empty; its own folder lies below. */
  readonly openEngine: (folder: string) => Promise<{ readonly warehouse: Warehouse; close(): Promise<void> }>
  /** Left out: the embedded engine is the warehouse. */
  readonly server: Warehouse | undefined
  /** Left out: the logs are embedded. */
  readonly kafka: readonly DeliveredLog[] | undefined
}

/** @throws BACKUP_INCOMPLETE, BACKUP_DAMAGED, BACKUP_VERSION_UNKNOWN, BACKUP_TARGET_USED, BACKUP_REFUSED, and as the parts do */
export async function restore(options: RestoreOptions): Promise<Manifest> {
  const { folder, registry, version, topicPrefix } = options
  const manifest = await verifyBackup(folder)
  assertRestorable(manifest, version)
  assertSameEngines(manifest, options)
  if (manifest.topicPrefix !== topicPrefix)
    throw new PenstockError(
      'BACKUP_REFUSED',
      `the backup has topics ${manifest.topicPrefix}.…: set PENSTOCK_TOPIC_PREFIX=${manifest.topicPrefix}, not ${topicPrefix}`,
    )
  const { dataDir } = registry
  assertEmpty(dataDir)
  makePrivateFolder(dataDir)
  const claim = join(dataDir, claimName)
  const use = await claimFolder(claim, `${process.pid} of ${hostname()}`)
  if (typeof use === 'string')
    throw new PenstockError('BACKUP_REFUSED', `another restore into ${dataDir} is under way, in process ${use}`)
  try {
    // The one before may have ended meanwhile.
    assertEmpty(dataDir)
    await putInPlace(options, manifest)
  } finally {
    use.end()
    removeIfEmpty(claim)
  }
  return manifest
}

/** Another restore may have come, and waits there to be told. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && ['ENOTEMPTY', 'ENOENT'].includes(String(error.code))))
      throw error
  }
}

/** Lies in the data folder, too: of two restores the second would take the half of the first for one that was killed. */
const claimName = 'restore.lock'

/** @throws BACKUP_TARGET_USED if there is more than what a restore has left that was killed */
function assertEmpty(dataDir: string): void {
  if (!existsSync(dataDir) || isHalfRestored(dataDir)) return
  if (readdirSync(dataDir).some((name) => name !== claimName))
    throw new PenstockError(
      'BACKUP_TARGET_USED',
      `${dataDir} is not empty: a backup is restored into a folder of its own`,
    )
}

async function putInPlace(options: RestoreOptions, manifest: Manifest): Promise<void> {
  const { dataDir } = options.registry
  if (isHalfRestored(dataDir)) emptied(dataDir)
  const staging = stagingFolder(dataDir)
  makePrivateFolder(staging)
  const takeBack: TakeBack[] = []
  try {
    await fill(options, manifest, staging, takeBack)
    // Before the names that say so: a power failure must leave `.restoring`, or all.
    await onDisk(staging)
    for (const name of readdirSync(staging)) renameSync(join(staging, name), join(dataDir, name))
    rmSync(staging, { recursive: true })
  } catch (error) {
    try {
      for (const each of takeBack.reverse()) await each()
    } finally {
      emptied(dataDir)
    }
    throw error
  }
}

/** Undoes what was put into a server. */
type TakeBack = () => Promise<void>

/** A backup that is as it was written. @throws BACKUP_INCOMPLETE, BACKUP_DAMAGED, BACKUP_VERSION_UNKNOWN */
export async function verifyBackup(folder: string): Promise<Manifest> {
  const manifest = readManifest(folder)
  await verifyFiles(folder, manifest.files)
  return manifest
}

/** All that is in the folder is of a restore: it was empty before. */
function emptied(dataDir: string): void {
  const staging = stagingFolder(dataDir)
  for (const name of readdirSync(dataDir).map((each) => join(dataDir, each)))
    if (name !== staging && name !== join(dataDir, claimName)) rmSync(name, { recursive: true })
  rmSync(staging, { recursive: true, force: true })
}

async function fill(options: RestoreOptions, manifest: Manifest, staging: string, takeBack: TakeBack[]): Promise<void> {
  const { folder, registry, server, kafka } = options
  const keys = join(folder, 'keys')
  if (existsSync(keys)) cpSync(keys, staging, { recursive: true })
  const staged = { ...registry, dataDir: staging }
  if (manifest.registry) {
    await restoreRegistry(staged, manifest.registry, join(folder, 'registry'))
    takeBack.push(() => forgetRegistry(staged))
  }
  await fillLogs(options, manifest, staging)
  if (manifest.tables) await fillEngine(options, manifest.tables, join(staging, 'warehouse'))
  if (server && manifest.tablesAt !== undefined) await restoreServer(server, manifest.tablesAt, takeBack)
  for (const delivered of kafka ?? []) {
    const positions = manifest.positions.find(({ topic }) => topic === delivered.log.topic)
    if (positions) await setPositions(delivered, positions)
  }
}

async function fillLogs(
  { folder, registry, topicPrefix }: RestoreOptions,
  { logs }: Manifest,
  staging: string,
): Promise<void> {
  if (logs.length === 0) return
  const renewed = await renewEndpoints({ ...registry, dataDir: staging }, Math.floor(Date.now() / 1_000))
  // Whole names: what an endpoint's group begins with may be another endpoint's.
  const names = new Map(
    renewed.flatMap(({ name, before, after }) =>
      deliveredTopics.map((topic): [string, string] => [
        groupOnTopic(endpointGroup(topicPrefix, { name, generation: before }), topic),
        groupOnTopic(endpointGroup(topicPrefix, { name, generation: after }), topic),
      ]),
    ),
  )
  for (const topic of logs) {
    const { contents, records } = await readLogFile(join(folder, `logs/${topic}.log`))
    const groups = contents.groups.map(({ group, positions }) => ({ group: names.get(group) ?? group, positions }))
    await restoreLog(join(staging, 'log'), { ...contents, groups }, records)
  }
}

async function fillEngine(
  { folder, openEngine }: RestoreOptions,
  tables: BackedUpTables,
  target: string,
): Promise<void> {
  mkdirSync(target)
  const engine = await openEngine(target)
  try {
    await restoreTables(engine.warehouse, join(target, 'engine'), tables, join(folder, 'tables'))
  } finally {
    await engine.close()
  }
}

/** ClickHouse itself refuses to restore over tables with rows; what it made is dropped if the restore does not end well. */
async function restoreServer(server: Warehouse, destination: string, takeBack: TakeBack[]): Promise<void> {
  const [found] = await server.query('SELECT count() AS tables FROM system.tables WHERE database = {name: String}', {
    name: warehouseDatabase,
  })
  const tables = Number(found?.tables)
  assert(Number.isSafeInteger(tables), `the server says how many tables it has in ${warehouseDatabase}`)
  if (tables > 0)
    throw new PenstockError(
      'BACKUP_TARGET_USED',
      `the ClickHouse server has tables in ${warehouseDatabase}: a backup is restored into a server that has none`,
    )
  takeBack.push(() => server.command(`DROP DATABASE IF EXISTS ${warehouseDatabase} SYNC`))
  await server.command(`RESTORE DATABASE ${warehouseDatabase} FROM ${destination}`)
}

function assertSameEngines(manifest: Manifest, { registry, server, kafka }: RestoreOptions): void {
  const isOnKafka = manifest.logs.length === 0 && manifest.positions.length > 0
  // Routes lie in files beside an embedded registry, and in the tables of a server: in the other place nobody would look for them.
  assertSame(manifest.registryAt === 'server', registryAt(registry) === 'server', [
    'the registry of this backup is of a PostgreSQL server: set PENSTOCK_POSTGRES_URL to one that has nothing of Penstock',
    'the registry of this backup is an embedded one: PENSTOCK_POSTGRES_URL must not be set',
  ])
  assertSame(manifest.tablesAt !== undefined, server !== undefined, [
    'the tables of this backup are on a ClickHouse server: set PENSTOCK_CLICKHOUSE_URL to one that has none of them',
    'the backup has tables of the embedded engine: PENSTOCK_CLICKHOUSE_URL must not be set',
  ])
  assertSame(isOnKafka, kafka !== undefined, [
    'the backup has positions on Kafka: set PENSTOCK_KAFKA_BROKERS',
    'the backup has embedded logs: PENSTOCK_KAFKA_BROKERS must not be set',
  ])
}

/** @param refusals where the backup is of a server and nothing of the kind is here; and the other way round */
function assertSame(isOfServer: boolean, hasServer: boolean, [missing, unwanted]: readonly [string, string]): void {
  if (isOfServer !== hasServer) throw new PenstockError('BACKUP_REFUSED', isOfServer ? missing : unwanted)
}
