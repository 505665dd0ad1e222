/** Rows of a small statement, for screens that show what ClickHouse keeps. */
import { aText, type JsonCheck, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { linesOf } from './lines.ts'

interface Line {
  readonly row: readonly unknown[] | undefined
  readonly fault: string | undefined
}

const anything: JsonCheck<unknown> = (value) => value
const lineCheck = recordOf<Line>({ row: optional(listOf(anything)), fault: optional(aText) })

/** 64-bit integers come as texts. @throws as `answerOf`; Error with ClickHouse's text */
export async function sqlRows(statement: string, signal: AbortSignal): Promise<readonly (readonly unknown[])[]> {
  const rows: (readonly unknown[])[] = []
  for await (const value of linesOf('/console/sql', { method: 'POST', text: statement, signal })) {
    const { row, fault } = lineCheck(value)
    if (fault !== undefined) throw new Error(fault)
    if (row !== undefined) rows.push(row)
  }
  return rows
}

/** Any text as a literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
