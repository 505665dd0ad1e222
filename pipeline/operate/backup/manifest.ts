/**
 * What a backup is:
 *
 *   manifest.json           what follows, and size and checksum of every other file; written last, so without it a backup is incomplete
 *   manifest.sha256         of manifest.json
 *   keys/ …                 small files of the data folder, under their names there
 *   registry/<table>.copy   the control store, a table a file (control/store/copy-store.ts)
 *   logs/<topic>.log        an embedded log (log-file.ts)
 *   tables/<uuid>/<part>/…  parts of the embedded engine's tables, as the engine has them
 *
 * All of it is readable by its owner only: it has the keys of devices and of endpoints.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RegistryPlace, type StoreCopy, storeCopyCheck } from '#control/copy-registry.ts'
import { aCount, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import { PenstockError } from '#schemas/errors.ts'

/** Of the folder as this file describes it. */
const formatVersion = 1

export interface BackupFile {
  /** Below the backup's folder, parts joined by slashes. */
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** Where groups stand on one topic; offsets by partition, `undefined` where a group never committed. */
export interface TopicPositions {
  readonly topic: string
  readonly groups: readonly {
    readonly group: string
    readonly positions: readonly ({ readonly offset: number; readonly metadata: string } | undefined)[]
  }[]
}

export interface BackedUpTable {
  readonly database: string
  readonly name: string
  readonly uuid: string
  /** The statement that makes it. */
  readonly create: string
  /** Names of its parts; `undefined`: it keeps none of its own. */
  readonly parts: readonly string[] | undefined
}

/** Tables of the embedded engine. */
export interface BackedUpTables {
  readonly engineVersion: string
  readonly databases: readonly string[]
  /** Statements that make functions of users. */
  readonly functions: readonly string[]
  readonly tables: readonly BackedUpTable[]
  /** Tables whose rows are not in the backup, since their engine keeps them in no parts. */
  readonly withoutRows: readonly string[]
}

export type RegistryAt = 'embedded' | 'server'

export const registryAt = ({ postgresUrl }: Pick<RegistryPlace, 'postgresUrl'>): RegistryAt =>
  postgresUrl === undefined ? 'embedded' : 'server'

export interface Manifest {
  readonly format: number
  /** Of Penstock. */
  readonly version: string
  /** UTC milliseconds: everything acknowledged before is in it. */
  readonly cutAtMs: number
  readonly topicPrefix: string
  /** What keeps the registry, and with it the routes. */
  readonly registryAt: RegistryAt
  /** Left out: the installation had none yet. */
  readonly registry: StoreCopy | undefined
  /** Topics of embedded logs, each with a file. */
  readonly logs: readonly string[]
  /** Of logs that are not embedded. */
  readonly positions: readonly TopicPositions[]
  readonly tables: BackedUpTables | undefined
  /** Where a ClickHouse server has put its tables, as its BACKUP names it. */
  readonly tablesAt: string | undefined
  readonly files: readonly BackupFile[]
}

const positionsCheck = recordOf<TopicPositions>({
  topic: aText,
  groups: listOf(
    recordOf<TopicPositions['groups'][number]>({
      group: aText,
      positions: listOf(optional(recordOf<{ offset: number; metadata: string }>({ offset: aCount, metadata: aText }))),
    }),
  ),
})

const tablesCheck = recordOf<BackedUpTables>({
  engineVersion: aText,
  databases: listOf(aText),
  functions: listOf(aText),
  tables: listOf(
    recordOf<BackedUpTable>({
      database: aText,
      name: aText,
      uuid: aText,
      create: aText,
      parts: optional(listOf(aText)),
    }),
  ),
  withoutRows: listOf(aText),
})

const manifestCheck: JsonCheck<Manifest> = recordOf<Manifest>({
  format: aCount,
  version: aText,
  cutAtMs: aCount,
  topicPrefix: aText,
  registryAt: oneOf<RegistryAt>('embedded', 'server'),
  registry: optional(storeCopyCheck),
  logs: listOf(aText),
  positions: listOf(positionsCheck),
  tables: optional(tablesCheck),
  tablesAt: optional(aText),
  files: listOf(recordOf<BackupFile>({ path: aText, bytes: aCount, sha256: aText })),
})

const manifestFile = (folder: string): string => join(folder, 'manifest.json')
const checksumFile = (folder: string): string => join(folder, 'manifest.sha256')

export function writeManifest(folder: string, manifest: Omit<Manifest, 'format'>): void {
  const text = `${JSON.stringify({ format: formatVersion, ...manifest }, undefined, 1)}\n`
  writeFileSync(checksumFile(folder), `${sha256Of(text)}\n`, { mode: 0o600, flag: 'wx', flush: true })
  writeFileSync(manifestFile(folder), text, { mode: 0o600, flag: 'wx', flush: true })
}

/** @throws BACKUP_INCOMPLETE, BACKUP_DAMAGED, BACKUP_VERSION_UNKNOWN */
export function readManifest(folder: string): Manifest {
  let text: string
  let checksum: string
  try {
    text = readFileSync(manifestFile(folder), 'utf8')
    checksum = readFileSync(checksumFile(folder), 'utf8').trim()
  } catch (cause) {
    throw new PenstockError(
      'BACKUP_INCOMPLETE',
      `${folder} has no manifest.json and manifest.sha256: it is no backup, or one that was not made to its end`,
      { cause },
    )
  }
  if (sha256Of(text) !== checksum) throw new PenstockError('BACKUP_DAMAGED', 'manifest.json is not as it was written')
  const manifest: { readonly format?: unknown } = JSON.parse(text)
  if (manifest.format !== formatVersion)
    throw new PenstockError(
      'BACKUP_VERSION_UNKNOWN',
      `the backup has format ${manifest.format}, this program knows ${formatVersion}; restore it with the version of Penstock that made it`,
    )
  return manifestCheck(manifest)
}

/** @throws BACKUP_VERSION_UNKNOWN for what this version of Penstock cannot restore */
export function assertRestorable({ version }: Manifest, own: string): void {
  if (majorOf(version) === majorOf(own)) return
  throw new PenstockError(
    'BACKUP_VERSION_UNKNOWN',
    `the backup is of Penstock ${version}, and this is ${own}: restore it with a version ${majorOf(version)}.x, and upgrade then`,
  )
}

const majorOf = (version: string): string => version.split('.')[0] ?? ''

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
