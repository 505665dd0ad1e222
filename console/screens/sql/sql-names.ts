import type { SqlNames, TableShape } from './editor/completions.ts'
import { type Cell, runStatement } from './statement.ts'

const tablesAsked = `SELECT database || '.' || table AS full_name, groupArray((name, type)) AS columns
FROM (SELECT * FROM system.columns WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') ORDER BY position)
GROUP BY full_name ORDER BY full_name != 'penstock.telemetry', full_name LIMIT 200`

/** What ends in an underscore is ClickHouse's own. */
const functionsAsked = `SELECT name, is_aggregate FROM system.functions WHERE alias_to = '' AND name NOT LIKE '\\\\_%' ORDER BY name LIMIT 3000`

/** Tables that the user for analysts may see. @throws as `runStatement`, and what ClickHouse says */
export async function readTables(signal: AbortSignal): Promise<readonly TableShape[]> {
  const rows = await rowsOf(tablesAsked, signal)
  return rows.map(([name, columns]) => ({ name: String(name), columns: columns as TableShape['columns'] }))
}

/** @throws as `readTables` */
export async function readFunctions(signal: AbortSignal): Promise<SqlNames['functions']> {
  const rows = await rowsOf(functionsAsked, signal)
  return rows.map(([name, isAggregate]) => ({ name: String(name), isAggregate: Number(isAggregate) === 1 }))
}

async function rowsOf(statement: string, signal: AbortSignal): Promise<readonly (readonly Cell[])[]> {
  let found: readonly (readonly Cell[])[] = []
  await runStatement(statement, signal, ({ rows, isDone, fault }) => {
    if (fault !== undefined) throw new Error(fault)
    if (isDone) found = rows
  })
  return found
}
