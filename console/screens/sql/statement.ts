/** Running a statement, and what came of it. */
import { csvOf } from '#console/data/csv.ts'
import { linesOf } from '#console/data/lines.ts'
import { aBoolean, aNumber, aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'

export interface Column {
  readonly name: string
  readonly type: string
}

export type Cell = unknown

/** What is known of a statement so far. */
export interface Result {
  readonly columns: readonly Column[]
  readonly rows: readonly (readonly Cell[])[]
  readonly elapsedMs: number
  readonly progress: Progress | undefined
  readonly fault: string | undefined
  /** The answer had more than so many rows. */
  readonly cut: number | undefined
  readonly isDone: boolean
}

interface Progress {
  readonly read_rows: string | undefined
  readonly read_bytes: string | undefined
  readonly total_rows_to_read: string | undefined
}

interface Line {
  readonly begun: boolean | undefined
  readonly elapsedMs: number | undefined
  readonly meta: readonly Column[] | undefined
  readonly row: readonly Cell[] | undefined
  readonly progress: Progress | undefined
  readonly cut: number | undefined
  readonly fault: string | undefined
}

const anything: JsonCheck<Cell> = (value) => value
const line = recordOf<Line>({
  begun: optional(aBoolean),
  elapsedMs: optional(aNumber),
  meta: optional(listOf(recordOf<Column>({ name: aText, type: aText }))),
  row: optional(listOf(anything)),
  progress: optional(
    recordOf<Progress>({
      read_rows: optional(aText),
      read_bytes: optional(aText),
      total_rows_to_read: optional(aText),
    }),
  ),
  cut: optional(aNumber),
  fault: optional(aText),
})

const drawMs = 150

/** Runs a statement and tells, now and then, what is known of it; at last with `isDone`. @throws as `answerOf` */
export async function runStatement(
  statement: string,
  signal: AbortSignal,
  tell: (result: Result) => void,
): Promise<void> {
  const rows: (readonly Cell[])[] = []
  const startedMs = performance.now()
  let drawnMs = startedMs
  let known: Omit<Result, 'rows' | 'elapsedMs' | 'isDone'> = {
    columns: [],
    progress: undefined,
    fault: undefined,
    cut: undefined,
  }
  const told = (isDone: boolean): void =>
    tell({ ...known, rows: rows.slice(), elapsedMs: performance.now() - startedMs, isDone })
  for await (const value of linesOf('/console/sql', { method: 'POST', text: statement, signal })) {
    const { meta, row, progress, cut, fault } = line(value)
    if (row !== undefined) rows.push(row)
    if (meta !== undefined) known = { ...known, columns: meta }
    if (progress !== undefined) known = { ...known, progress }
    if (cut !== undefined) known = { ...known, cut }
    if (fault !== undefined) known = { ...known, fault }
    if (performance.now() - drawnMs < drawMs) continue
    drawnMs = performance.now()
    told(false)
  }
  told(true)
}

export function cellText(cell: Cell): string {
  if (cell === null || cell === undefined) return 'NULL'
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell)
}

export function resultCsv({ columns, rows }: Pick<Result, 'columns' | 'rows'>): string {
  const cells = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? cell : cellText(cell))))
  return csvOf([columns.map(({ name }) => name), ...cells])
}

export function jsonOf({ columns, rows }: Pick<Result, 'columns' | 'rows'>): string {
  const objects = rows.map((row) => Object.fromEntries(columns.map(({ name }, index) => [name, row[index]])))
  return `${JSON.stringify(objects, undefined, 1)}\n`
}

/** Lines over time, where the first column is a time and others are numbers. */
export function chartOf({ columns, rows }: Pick<Result, 'columns' | 'rows'>): readonly {
  readonly name: string
  readonly points: readonly (readonly [number, number | undefined])[]
}[] {
  const time = columns.findIndex(({ type }) => /^(Nullable\()?Date/.test(type))
  if (time < 0 || rows.length < 2) return []
  const numbers = columns
    .map(({ name, type }, index) => ({ name, type, index }))
    .filter(({ type }) => /^(Nullable\()?(U?Int|Float|Decimal)/.test(type))
    .slice(0, linesMax)
  const step = Math.ceil(rows.length / pointsMax)
  const shown = rows
    .filter((_, index) => index % step === 0)
    .map((row) => ({ row, atMs: momentOf(row[time]) }))
    .sort((one, other) => one.atMs - other.atMs)
  return numbers.map(({ name, index }) => ({
    name,
    points: shown.map(({ row, atMs }) => [atMs, row[index] === null ? undefined : Number(row[index])] as const),
  }))
}

const linesMax = 7
const pointsMax = 2_000

/** ClickHouse writes times without a zone, of its own zone: UTC for Penstock's tables. */
function momentOf(cell: Cell): number {
  const text = String(cell)
  return Date.parse(text.includes(' ') ? `${text.replace(' ', 'T')}Z` : text)
}
