/**
 * A request whose body is a form. Parts without a file name are parameters, like those of the URL. Each file becomes a table that exists
 * for this statement only.
 *
 *   files ──▶ spool ──▶ CREATE TEMPORARY TABLE name (structure) ──▶ INSERT INTO name FROM INFILE   (statement-connection.ts)
 */
import { buffer } from 'node:stream/consumers'
import { type CanonicalToken, isWord } from './canonical-tokens.ts'
import { assertFormatName, EngineError } from './engine-error.ts'
import { formParts } from './form-parts.ts'
import type { Formatter } from './formatter.ts'
import type { InsertSpool } from './insert-spool.ts'
import { refuseForbidden } from './permissions.ts'
import { QueryCeilings } from './query-ceilings.ts'
import { quotedName, statementFrom } from './statement.ts'
import type { Parameters } from './url-parameters.ts'

/** A table that comes along has no settings, so it does not matter whose they would be. */
const usualCeilings = new QueryCeilings('analyst', undefined)

export interface Form {
  readonly fields: Parameters
  readonly files: readonly FormFile[]
}

interface FormFile {
  readonly name: string
  /** Path in the spool. */
  readonly path: string
}

/** A file of a form, and what the parameters say about it. */
export interface ExternalTable extends FormFile {
  readonly structure: string
  readonly format: string
}

/** Statements that create and fill a table. */
export interface TableStatements {
  readonly name: string
  readonly create: string
  readonly fill: string
}

/** Statements and parameters are held in memory. */
const fieldsBytesMax = 4 * 1024 * 1024

/** Tables are held in memory while their statement runs, as several do at once. */
const filesBytesMax = 64 * 1024 * 1024

/** Boundary of a request's form; undefined if its body is not a form. */
export function formBoundaryOf(contentType: string | undefined): string | undefined {
  if (!/^multipart\/form-data\b/i.test(contentType ?? '')) return undefined
  const [, quoted, bare] = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(contentType ?? '') ?? []
  const boundary = quoted ?? bare
  if (boundary === undefined) throw new EngineError(36, 'BAD_ARGUMENTS', 'A form without a boundary')
  return boundary
}

/** Reads a form to its end. Its files are the caller's, to be given back to the spool. @throws EngineError */
export async function readForm(source: AsyncIterable<Buffer>, boundary: string, spool: InsertSpool): Promise<Form> {
  const fields: [string, Buffer][] = []
  const files: FormFile[] = []
  const room = { fields: fieldsBytesMax, files: filesBytesMax }
  try {
    for await (const { name, isFile, chunks } of formParts(source, boundary)) {
      const content = within(room, isFile ? 'files' : 'fields', chunks)
      if (isFile) files.push({ name, path: await spool.write(content) })
      else fields.push([name, await buffer(content)])
    }
    return { fields, files }
  } catch (error) {
    for (const { path } of files) spool.give(path)
    throw error
  }
}

/** Passes `chunks` on, and subtracts their length from the room that is left. */
async function* within<Kind extends string>(
  room: Record<Kind, number>,
  kind: Kind,
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void> {
  for await (const chunk of chunks) {
    room[kind] -= chunk.length
    if (room[kind] < 0)
      throw new EngineError(
        307,
        'TOO_MANY_BYTES',
        `The form's ${kind} are too long, or the tables in it: insert them instead`,
      )
    yield chunk
  }
}

/**
 * The tables of a form, and the parameters that are not about them.
 * @throws EngineError 36 for a file whose structure no parameter gives
 */
export function externalTablesOf(
  files: readonly FormFile[],
  parameters: Parameters,
): { readonly tables: readonly ExternalTable[]; readonly rest: Parameters } {
  const given = new Map(parameters.map(([name, value]) => [name, value.toString()]))
  const tables = files.map(({ name, path }) => {
    const types = given.get(`${name}_types`)?.split(/[ ,]+/)
    const structure = given.get(`${name}_structure`) ?? types?.map((type, index) => `_${index + 1} ${type}`).join(', ')
    if (structure === undefined)
      throw new EngineError(
        36,
        'BAD_ARGUMENTS',
        `Neither structure nor types have been provided for external table ${name}. Use fields ${name}_structure or ${name}_types to do so`,
      )
    const format = given.get(`${name}_format`) ?? 'TabSeparated'
    assertFormatName(format)
    return { name, path, structure, format }
  })
  const used = new Set(files.flatMap(({ name }) => ['structure', 'types', 'format'].map((what) => `${name}_${what}`)))
  return { tables, rest: parameters.filter(([name]) => !used.has(name)) }
}

/**
 * Statements for `table`, as the engine has read them. They are judged like those of an analyst, whoever asks, since a structure may
 * contain SQL beside columns and their types.
 * @throws EngineError
 */
export async function tableStatements(formatter: Formatter, table: ExternalTable): Promise<TableStatements> {
  const name = quotedName(table.name)
  const create = statementFrom(
    await formatter.canonical(Buffer.from(`CREATE TEMPORARY TABLE ${name} (${table.structure}\n) ENGINE = Memory`)),
    false,
  )
  refuseForbidden(create.tokens, 'analyst', usualCeilings)
  if (create.kind !== 'command' || !hasColumnsAlone(create.tokens))
    throw new EngineError(
      36,
      'BAD_ARGUMENTS',
      `The structure of external table ${table.name} is more than columns and types`,
    )
  const fill = statementFrom(await formatter.canonical(Buffer.from(`INSERT INTO ${name} FORMAT ${table.format}`)), true)
  if (fill.kind !== 'insert') throw new EngineError(36, 'BAD_ARGUMENTS', `External table ${table.name} takes no rows`)
  return { name: table.name, create: create.text, fill: fill.textFor(table.path) }
}

/** CREATE TEMPORARY TABLE name ( ) ENGINE = Memory */
const outerWords = 9

/** The engine writes column names in backticks, so no column is mistaken for one of these. */
const otherThanType = /^(DEFAULT|MATERIALIZED|ALIAS|EPHEMERAL|CONSTRAINT|INDEX|PROJECTION|PRIMARY)$/i

function hasColumnsAlone(tokens: readonly CanonicalToken[]): boolean {
  const outside = tokens.filter(({ depth }) => depth === 0)
  const columns = tokens.filter(({ depth, kind }) => depth === 1 && kind === 'word')
  return (
    outside.length === outerWords &&
    isWord(outside.at(-1), 'MEMORY') &&
    !columns.some(({ value }) => otherThanType.test(value))
  )
}
