/**
 * The control store as files, and back: a file a table in the text format of COPY, so that `psql` reads them, too.
 *
 * All files show one moment. They are written from one transaction, whose snapshot is taken with its first look; on the embedded store other
 * statements wait for it meanwhile. They are read into one transaction as well: it makes the tables as the version that wrote them had them,
 * fills them, and brings them to this version.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { copyLine, linesOf, valuesOfCopyLine } from '#runtime/copy-text.ts'
import { aCount, aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Database, Queries, SqlRow } from './database.ts'
import { migrateTo, newerSchema, schemaVersion } from './migrate.ts'

export interface CopiedTable {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
}

/** What the files are. */
export interface StoreCopy {
  readonly schemaVersion: number
  readonly tables: readonly CopiedTable[]
  /** Numbers that were given away; `undefined`: none was. Decimal, as they may be large. */
  readonly sequences: readonly { readonly name: string; readonly last: string | undefined }[]
}

export const storeCopyCheck: JsonCheck<StoreCopy> = recordOf<StoreCopy>({
  schemaVersion: aCount,
  tables: listOf(recordOf<CopiedTable>({ name: aText, columns: listOf(aText), rows: aCount })),
  sequences: listOf(recordOf<StoreCopy['sequences'][number]>({ name: aText, last: optional(aText) })),
})

const rowsAtOnce = 500

/** Of a table that `StoreCopy` names. */
export function tableFile(folder: string, table: string): string {
  return join(folder, `${table}.copy`)
}

/**
 * @param folder exists @returns `undefined` where there is no store yet
 * @throws STORE_SCHEMA_UNKNOWN, STORE_UNAVAILABLE, what the system says of files
 */
export async function copyStore(database: Database, folder: string): Promise<StoreCopy | undefined> {
  return await database.transaction(async (queries) => {
    await queries.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
    for (const [name, value] of textSettings) await queries.query(`SET LOCAL ${name} = '${value}'`)
    const version = await versionOf(queries)
    if (version === undefined) return undefined
    if (version > schemaVersion) throw newerSchema(version)
    const tables: CopiedTable[] = []
    for (const table of await tablesOf(queries)) tables.push(await copyTable(queries, table, folder))
    const sequences = await queries.query<{ readonly name: string; readonly last: string | null }>(
      "SELECT sequencename AS name, last_value::text AS last FROM pg_sequences WHERE schemaname = 'penstock' ORDER BY 1",
    )
    return {
      schemaVersion: version,
      tables,
      sequences: sequences.map(({ name, last }) => ({ name, last: last ?? undefined })),
    }
  })
}

/** Values as every server reads them again. */
const textSettings = [
  ['datestyle', 'ISO'],
  ['timezone', 'UTC'],
  ['intervalstyle', 'iso_8601'],
  ['bytea_output', 'hex'],
] as const

interface StoreTable {
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

async function versionOf(queries: Queries): Promise<number | undefined> {
  const [found] = await queries.query<{ readonly there: boolean }>(
    "SELECT to_regclass('penstock.schema') IS NOT NULL AS there",
  )
  if (found?.there !== true) return undefined
  const [row] = await queries.query<{ readonly version: number }>('SELECT version FROM penstock.schema')
  return row?.version
}

/** In the order in which they were made, so that what others refer to comes first; without the one that has the version. */
async function tablesOf(queries: Queries): Promise<readonly StoreTable[]> {
  const rows = await queries.query<{ readonly name: string; readonly column: string; readonly type: string }>(
    `SELECT c.relname AS name, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type
     FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'penstock'
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     WHERE c.relkind = 'r' AND c.relname <> 'schema' ORDER BY c.oid, a.attnum`,
  )
  const tables = new Map<string, { name: string; type: string }[]>()
  for (const { name, column, type } of rows) tables.set(name, [...(tables.get(name) ?? []), { name: column, type }])
  return [...tables].map(([name, columns]) => ({ name, columns }))
}

async function copyTable(queries: Queries, { name, columns }: StoreTable, folder: string): Promise<CopiedTable> {
  const texts = columns.map((column) => `${quoted(column.name)}::text`)
  await queries.query(
    `DECLARE copied NO SCROLL CURSOR FOR SELECT ARRAY[${texts.join(', ')}] AS values FROM penstock.${quoted(name)}`,
  )
  let rows = 0
  const lines = async function* () {
    for (;;) {
      const portion = await queries.query<ValuesRow>(`FETCH ${rowsAtOnce} FROM copied`)
      if (portion.length === 0) return
      rows += portion.length
      yield portion.map(({ values }) => copyLine(values)).join('')
    }
  }
  await pipeline(Readable.from(lines()), createWriteStream(tableFile(folder, name), { flags: 'wx', flush: true }))
  await queries.query('CLOSE copied')
  return { name, columns: columns.map((column) => column.name), rows }
}

interface ValuesRow extends SqlRow {
  readonly values: readonly (string | null)[]
}

/**
 * Makes and fills the tables of a store that is empty.
 * @throws BACKUP_TARGET_USED if it is not, BACKUP_VERSION_UNKNOWN, BACKUP_DAMAGED if files are not what `copy` says
 */
export async function restoreStore(database: Database, copy: StoreCopy, folder: string): Promise<void> {
  if (copy.schemaVersion > schemaVersion)
    throw new PenstockError(
      'BACKUP_VERSION_UNKNOWN',
      `the backup has schema version ${copy.schemaVersion} of the control store, this program knows ${schemaVersion}; restore it with the ` +
        'version of Penstock that made it, or a later one',
    )
  await database.transaction(async (queries) => {
    if ((await versionOf(queries)) !== undefined)
      throw new PenstockError(
        'BACKUP_TARGET_USED',
        'the control store has tables of Penstock already: a backup is restored into an empty one',
      )
    await migrateTo(queries, copy.schemaVersion)
    const tables = await tablesOf(queries)
    // Migrations fill some with what a new installation has.
    await queries.query(`TRUNCATE ${tables.map(({ name }) => `penstock.${quoted(name)}`).join(', ')}`)
    for (const table of tables) await fillTable(queries, table, copy, folder)
    for (const { name, last } of copy.sequences)
      if (last !== undefined) await queries.query('SELECT setval($1::regclass, $2::bigint)', [`penstock.${name}`, last])
    await migrateTo(queries, schemaVersion)
  })
}

async function fillTable(
  queries: Queries,
  { name, columns }: StoreTable,
  copy: StoreCopy,
  folder: string,
): Promise<void> {
  const copied = copy.tables.find((table) => table.name === name)
  if (!copied || copied.columns.join() !== columns.map((column) => column.name).join())
    throw damaged(`table ${name} of schema version ${copy.schemaVersion} has other columns in the backup`)
  const names = columns.map((column) => quoted(column.name)).join(', ')
  const values = columns.map(({ type }, index) => `c${index}::${type}`).join(', ')
  const texts = columns.map((_, index) => `$${index + 1}::text[]`).join(', ')
  const aliases = columns.map((_, index) => `c${index}`).join(', ')
  const sql =
    `INSERT INTO penstock.${quoted(name)} (${names}) OVERRIDING SYSTEM VALUE ` +
    `SELECT ${values} FROM unnest(${texts}) AS copied (${aliases})`
  let rows = 0
  let portion: (string | null)[][] = []
  const insert = async (): Promise<void> => {
    if (portion.length > 0)
      await queries.query(
        sql,
        columns.map((_, index) => portion.map((row) => row[index] ?? null)),
      )
    rows += portion.length
    portion = []
  }
  for await (const line of linesOf(createReadStream(tableFile(folder, name), 'utf8'))) {
    const row = valuesOfCopyLine(line)
    if (row.length !== columns.length)
      throw damaged(`a row of table ${name} has ${row.length} values, not ${columns.length}`)
    portion.push(row)
    if (portion.length >= rowsAtOnce) await insert()
  }
  await insert()
  if (rows !== copied.rows) throw damaged(`table ${name} has ${rows} rows in the backup, not ${copied.rows}`)
}

function damaged(why: string): PenstockError {
  return new PenstockError('BACKUP_DAMAGED', why)
}

/** Names of the catalogue, whatever they are. */
function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
