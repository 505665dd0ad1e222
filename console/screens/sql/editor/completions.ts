/** What may stand at a place of a statement. Pure. */

export interface TableShape {
  /** `database.table` */
  readonly name: string
  readonly columns: readonly (readonly [name: string, type: string])[]
}

export interface SqlNames {
  readonly tables: readonly TableShape[]
  readonly functions: readonly { readonly name: string; readonly isAggregate: boolean }[]
}

export interface Offered {
  readonly label: string
  readonly type: 'property' | 'class' | 'function' | 'keyword'
  readonly detail?: string
  /** More is nearer to the top. */
  readonly boost: number
  /** In place of the label. */
  readonly apply?: string
}

export interface Completions {
  /** Where what is typed begins. */
  readonly from: number
  readonly options: readonly Offered[]
}

const database = 'penstock.'

/**
 * @param text the statement that the cursor stands in, and nothing after it that is another one's
 * @param cursor offset in it
 * @param isAsked somebody asked for them, also where nothing is typed yet
 * @returns `undefined`: nothing is offered here
 */
export function completionsAt(
  text: string,
  cursor: number,
  names: SqlNames,
  keywords: readonly string[],
  isAsked: boolean,
): Completions | undefined {
  const before = text.slice(0, cursor)
  if (isWithinQuotes(before)) return undefined
  const dotted = /([\w.]+)\.(\w*)$/.exec(before)
  if (dotted !== null) return afterDot(text, dotted[1] ?? '', cursor - (dotted[2] ?? '').length, names)
  const word = /\w*$/.exec(before)?.[0] ?? ''
  if ((word === '' && !isAsked) || /^\d/.test(word)) return undefined
  const from = cursor - word.length
  const tables = names.tables.map(tableOffered)
  if (/\b(from|join|table|describe)\s+\w*$/i.test(before)) return { from, options: tables }
  const columns = columnsOf(tablesIn(text, names.tables))
  const functions = names.functions.map(
    ({ name, isAggregate }): Offered => ({
      label: name,
      type: 'function',
      apply: `${name}(`,
      boost: -1,
      ...(isAggregate ? { detail: 'aggregate' } : {}),
    }),
  )
  const words = keywords.map((label): Offered => ({ label, type: 'keyword', boost: 0 }))
  return { from, options: [...columns, ...words, ...tables, ...functions] }
}

/** Behind a database its tables, behind a table or an alias its columns. */
function afterDot(text: string, name: string, from: number, { tables }: SqlNames): Completions | undefined {
  const ofDatabase = tables.filter((table) => table.name.startsWith(`${name}.`))
  if (ofDatabase.length > 0)
    return {
      from,
      options: ofDatabase.map((table) => ({ label: table.name.slice(name.length + 1), type: 'class', boost: 1 })),
    }
  const table =
    tables.find((each) => each.name === name || each.name === database + name) ?? aliased(text, name, tables)
  return table && { from, options: columnsOf([table]) }
}

function aliased(text: string, alias: string, tables: readonly TableShape[]): TableShape | undefined {
  return tables.find(({ name }) =>
    new RegExp(`${escaped(name)}\\s+(final\\s+)?(as\\s+)?${escaped(alias)}\\b`, 'i').test(text),
  )
}

/** That the statement names; where it names none yet, that of telemetry. */
function tablesIn(text: string, tables: readonly TableShape[]): readonly TableShape[] {
  const named = tables.filter(({ name }) => new RegExp(`(^|[^\\w.])${escaped(name)}($|[^\\w.])`).test(text))
  return named.length > 0 ? named : tables.filter(({ name }) => name === `${database}telemetry`)
}

/** Each name once, although several tables have it. */
function columnsOf(tables: readonly TableShape[]): Offered[] {
  const types = new Map(tables.flatMap(({ columns }) => columns))
  return [...types].map(([label, detail]) => ({ label, type: 'property', detail, boost: 2 }))
}

function tableOffered({ name }: TableShape): Offered {
  return { label: name, type: 'class', boost: name.startsWith(database) ? 1 : -1 }
}

/** Or within a comment: there nothing is a name. */
function isWithinQuotes(before: string): boolean {
  const open = before.replace(/'(?:[^'\\]|\\.)*'|--[^\n]*\n|\/\*[\s\S]*?\*\//g, '')
  return /'|--|\/\*/.test(open)
}

function escaped(name: string): string {
  return name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
