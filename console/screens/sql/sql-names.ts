import { sqlRows } from '#console/data/sql-rows.ts'
import type { SqlNames, TableShape } from './editor/completions.ts'

const tablesAsked = `SELECT database || '.' || table AS full_name, groupArray((name, type)) AS columns
FROM (SELECT * FROM system.columns WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') ORDER BY position)
GROUP BY full_name ORDER BY full_name != 'penstock.telemetry', full_name LIMIT 200`

/** What ends in an underscore is ClickHouse's own. */
const functionsAsked = `SELECT name, is_aggregate FROM system.functions WHERE alias_to = '' AND name NOT LIKE '\\\\_%' ORDER BY name LIMIT 3000`

/** A list so small is there at once, or ClickHouse stands still: then its connections can stay open for long. */
const answerMsMax = 8_000

/** Tables that the user for analysts may see. @throws as `sqlRows`; Error where there is no answer for some seconds */
export async function readTables(signal: AbortSignal): Promise<readonly TableShape[]> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), answerMsMax)
  const rows = await sqlRows(tablesAsked, AbortSignal.any([signal, late.signal]))
    .catch((error: unknown) => {
      throw late.signal.aborted ? new Error('ClickHouse does not answer. It is asked again in a moment.') : error
    })
    .finally(() => clearTimeout(timer))
  return rows.map(([name, columns]) => ({ name: String(name), columns: columns as TableShape['columns'] }))
}

/** @throws as `sqlRows` */
export async function readFunctions(signal: AbortSignal): Promise<SqlNames['functions']> {
  const rows = await sqlRows(functionsAsked, signal)
  return rows.map(([name, isAggregate]) => ({ name: String(name), isAggregate: Number(isAggregate) === 1 }))
}
