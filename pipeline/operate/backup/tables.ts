/**
 * Tables of the embedded engine: their statements, and their parts. Parts never change, so that a table is frozen by hard links within
 * moments (`ALTER TABLE … FREEZE`), and copied afterwards while the engine goes on.
 */
import { constants, existsSync, readdirSync, rmSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Warehouse, WarehouseRow } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { BackupFiles } from './backup-files.ts'
import type { BackedUpTable, BackedUpTables } from './manifest.ts'

/** Of the engine's own: no tables of anybody. */
const ownDatabases = "('system', 'INFORMATION_SCHEMA', 'information_schema')"
/** Functions that Penstock gives the engine at each start. */
const ownFunctions = "('file', 'currentUser', 'user')"
/** Without characters that the engine writes otherwise in names of folders. */
const shadowPrefix = 'penstock_backup_'

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Engines that keep no rows of their own, or keep them in other tables. */
const rowless = /View$|^(Null|Merge|Distributed|URL|S3|Remote|Dictionary|Alias|GenerateRandom|Executable|Loop)/

export interface FrozenTables {
  readonly described: BackedUpTables
  /** Below which the parts lie until `thaw`. */
  readonly shadow: string
}

/**
 * Freezes all tables under a name of its own, and says what there is. What an earlier backup left that was killed is removed.
 * @param engineFolder of the embedded engine @throws WAREHOUSE_UNAVAILABLE, WAREHOUSE_REFUSED
 */
export async function freezeTables(warehouse: Warehouse, engineFolder: string, id: string): Promise<FrozenTables> {
  const shadows = join(engineFolder, 'shadow')
  if (existsSync(shadows))
    for (const name of readdirSync(shadows))
      if (name.startsWith(shadowPrefix)) rmSync(join(shadows, name), { recursive: true, force: true })
  const [found] = await warehouse.query('SELECT version() AS version')
  const databases = await textsOf(
    warehouse,
    `SELECT name AS text FROM system.databases WHERE name NOT IN ${ownDatabases} ORDER BY name`,
  )
  const functions = await textsOf(
    warehouse,
    `SELECT create_query AS text FROM system.functions WHERE origin = 'SQLUserDefined' AND name NOT IN ${ownFunctions}`,
  )
  const rows = await warehouse.query(
    `SELECT database, name, toString(uuid) AS uuid, engine, create_table_query AS create FROM system.tables
     WHERE database NOT IN ${ownDatabases} AND NOT is_temporary ORDER BY metadata_modification_time, name
     SETTINGS show_table_uuid_in_table_create_query_if_not_nil = 1`,
  )
  const filled = await textsOf(
    warehouse,
    "SELECT DISTINCT concat(database, '.', table) AS text FROM system.parts WHERE active",
  )
  const shadow = join(shadows, `${shadowPrefix}${id}`)
  const tables: BackedUpTable[] = []
  const withoutRows: string[] = []
  for (const row of rows) {
    const [database, name, uuid, engine, create] = ['database', 'name', 'uuid', 'engine', 'create'].map((field) =>
      textIn(row, field),
    ) as [string, string, string, string, string]
    assert(uuidForm.test(uuid), `the id of ${database}.${name} is part of a path, and ${uuid} is none`)
    const isFrozen = engine.endsWith('MergeTree')
    if (isFrozen)
      await warehouse
        .command(`ALTER TABLE ${named(database, name)} FREEZE WITH NAME '${shadowPrefix}${id}'`)
        .catch((error) => {
          // Links keep the bytes of parts that the engine has long merged.
          thaw({ shadow })
          throw error
        })
    else if (!rowless.test(engine)) withoutRows.push(`${database}.${name}`)
    const parts = isFrozen ? partsIn(partsFolder(shadow, uuid)) : undefined
    if (parts?.length === 0 && filled.includes(`${database}.${name}`))
      throw new PenstockError('BACKUP_REFUSED', `the engine froze no parts of ${database}.${name}, which has some`)
    tables.push({ database, name, uuid, create, parts })
  }
  return {
    shadow,
    described: { engineVersion: textIn(found, 'version'), databases, functions, tables, withoutRows },
  }
}

export function thaw({ shadow }: Pick<FrozenTables, 'shadow'>): void {
  rmSync(shadow, { recursive: true, force: true })
}

export async function copyParts({ described, shadow }: FrozenTables, files: BackupFiles): Promise<void> {
  for (const { uuid, parts } of described.tables)
    for (const part of parts ?? [])
      await files.copyFolder(join(partsFolder(shadow, uuid), part), `tables/${uuid}/${part}`)
}

/** How the engine sorts tables. */
function partsFolder(folder: string, uuid: string): string {
  return join(folder, 'store', uuid.slice(0, 3), uuid)
}

function partsIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

/** Blocks are numbered as they were inserted: `<partition>_<first block>_<last block>_<level>[_<mutation>]`. */
function firstBlockOf(part: string): number {
  const first = Number(part.split('_')[1])
  assert(Number.isSafeInteger(first), `${part} is the name of a part, and says its first block`)
  return first
}

const quietAskMs = 50
const quietAsks = 4
const quietMsMax = 60_000

/**
 * Waits until no insert runs whose position is kept. Positions stand still already, so none begins any more; one that is under way may store
 * its rows in a table before it is frozen, and those of a view after that. @throws WAREHOUSE_UNAVAILABLE
 */
export async function untilInsertsEnd(warehouse: Warehouse, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + quietMsMax
  for (let quiet = 0; quiet < quietAsks; ) {
    quiet = (await isQuiet(warehouse)) ? quiet + 1 : 0
    if (clock.monotonicMs() > untilMs) throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'inserts of workers do not end')
    await sleep(clock, quietAskMs)
  }
}

/** Into whatever table: all of them name these columns. */
async function isQuiet(warehouse: Warehouse): Promise<boolean> {
  const [row] = await warehouse.query(
    "SELECT count() AS running FROM system.processes WHERE query LIKE 'INSERT INTO %log_partition, log_offset%'",
  )
  const running = Number(row?.running)
  assert(Number.isSafeInteger(running), 'the engine says how many inserts run')
  return running === 0
}

const freezesMax = 5

/**
 * Freezes all tables while no insert runs. One that a worker was about to send when its partitions were taken may still come: then all of it
 * is done again. @throws WAREHOUSE_UNAVAILABLE, and as `freezeTables`
 */
export async function freezeQuietTables(
  warehouse: Warehouse,
  engineFolder: string,
  clock: Clock,
): Promise<FrozenTables> {
  for (let attempt = 1; attempt <= freezesMax; attempt++) {
    await untilInsertsEnd(warehouse, clock)
    const before = await lastBlocks(warehouse)
    const frozen = await freezeTables(warehouse, engineFolder, `${clock.nowMs().toString(36)}x${attempt}`)
    let isWhole = false
    try {
      isWhole = (await isQuiet(warehouse)) && (await lastBlocks(warehouse)) === before
      if (isWhole) return frozen
    } finally {
      if (!isWhole) thaw(frozen)
    }
  }
  throw new PenstockError('WAREHOUSE_UNAVAILABLE', 'whenever tables were frozen, an insert of a worker came')
}

/** Of each table whose rows have positions, the last block that was inserted. */
async function lastBlocks(warehouse: Warehouse): Promise<string> {
  const blocks = await textsOf(
    warehouse,
    `SELECT concat(database, '.', table, ' ', toString(max(max_block_number))) AS text FROM system.parts
     WHERE active AND (database, table) IN (SELECT database, table FROM system.columns WHERE name = 'log_offset')
     GROUP BY database, table ORDER BY text`,
  )
  return blocks.join()
}

/**
 * Makes the tables in an engine that has none, and gives them their parts.
 * @param source the folder `tables` of a backup @throws BACKUP_REFUSED, BACKUP_VERSION_UNKNOWN
 */
export async function restoreTables(
  warehouse: Warehouse,
  engineFolder: string,
  described: BackedUpTables,
  source: string,
): Promise<void> {
  await assertEngine(warehouse, described.engineVersion)
  for (const database of described.databases)
    await warehouse.command(`CREATE DATABASE IF NOT EXISTS ${quoted(database)} ENGINE = Atomic`)
  await makeAll(warehouse, described.functions)
  // Those of views without a table of their own are made by their view, under the same name.
  const made = described.tables.filter(({ name }) => !name.startsWith('.inner'))
  await makeAll(
    warehouse,
    made.map(({ create }) => create),
  )
  for (const { database, name, uuid, parts } of described.tables) {
    const detached = join(partsFolder(engineFolder, await uuidOf(warehouse, database, name)), 'detached')
    // What is attached later counts as inserted later: of rows that replace one another the same one stays.
    for (const part of [...(parts ?? [])].sort((one, other) => firstBlockOf(one) - firstBlockOf(other))) {
      await cp(join(source, uuid, part), join(detached, part), { recursive: true, mode: constants.COPYFILE_FICLONE })
      await warehouse.command(`ALTER TABLE ${named(database, name)} ATTACH PART '${part}'`)
    }
  }
}

/** Parts of a newer engine may have a form that this one does not read. */
async function assertEngine(warehouse: Warehouse, version: string): Promise<void> {
  const [row] = await warehouse.query('SELECT version() AS version')
  const own = textIn(row, 'version')
  const [ownNumbers, numbers] = [own, version].map((text) => text.split('.').map(Number)) as [number[], number[]]
  const differing = numbers.findIndex((number, index) => number !== ownNumbers[index])
  if (differing < 0 || (numbers[differing] ?? 0) < (ownNumbers[differing] ?? 0)) return
  throw new PenstockError(
    'BACKUP_VERSION_UNKNOWN',
    `the backup has tables of the engine ${version}, and this one is ${own}: restore it with the version of Penstock that made it, or a later one`,
  )
}

/** A view needs its tables, and tables may need functions: what can't be made yet is tried again after the others. */
async function makeAll(warehouse: Warehouse, statements: readonly string[]): Promise<void> {
  let left = statements
  while (left.length > 0) {
    const failed: string[] = []
    let fault: PenstockError | undefined
    for (const statement of left) {
      try {
        await warehouse.command(statement)
      } catch (error) {
        if (!isPenstockError(error)) throw error
        fault = error
        failed.push(statement)
      }
    }
    if (failed.length === left.length)
      throw new PenstockError('BACKUP_REFUSED', `the engine does not make what the backup has: ${failed[0]}`, {
        cause: fault,
      })
    left = failed
  }
}

async function uuidOf(warehouse: Warehouse, database: string, name: string): Promise<string> {
  const [row] = await warehouse.query(
    'SELECT toString(uuid) AS uuid FROM system.tables WHERE database = {database: String} AND name = {name: String}',
    { database, name },
  )
  assert(row !== undefined, `the table ${database}.${name} was made, and is there`)
  return textIn(row, 'uuid')
}

async function textsOf(warehouse: Warehouse, statement: string): Promise<string[]> {
  return (await warehouse.query(statement)).map((row) => textIn(row, 'text'))
}

/** What is not there must not be taken for a text: it names folders and tables. */
function textIn(row: WarehouseRow | undefined, field: string): string {
  const text = row?.[field]
  assert(typeof text === 'string', `the engine answers with a text for ${field}, not ${text}`)
  return text
}

function named(database: string, name: string): string {
  return `${quoted(database)}.${quoted(name)}`
}

function quoted(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``
}
