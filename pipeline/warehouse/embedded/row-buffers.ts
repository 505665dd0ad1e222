import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Engine, EngineConnection } from './engine.ts'
import { quotedName } from './statement.ts'

/** One table of the engine Buffer may fill another. */
const roundsMax = 8

/**
 * Rows that tables of the engine Buffer hold in memory go into the tables behind them, as they do where the engine is closed. What cannot
 * go there ends with the process, and is logged.
 */
export async function emptyBuffers(engine: Engine, logger: Logger): Promise<void> {
  const connection = engine.connect()
  try {
    const faults = new Map<string, unknown>()
    for (let round = 0; round < roundsMax && (await rowsHeld(connection)) > 0; round++)
      for (const table of await bufferTables(connection))
        await connection.run(`OPTIMIZE TABLE ${table}`, 'Null').then(
          () => faults.delete(table),
          (error: unknown) => faults.set(table, error),
        )
    const rows = await rowsHeld(connection)
    if (rows > 0) logger.error('rows that are only in memory cannot be stored', { rows })
    for (const [table, error] of faults) logger.error('a table of the engine Buffer keeps its rows', { table, error })
  } finally {
    connection.close()
  }
}

async function rowsHeld(connection: EngineConnection): Promise<number> {
  const statement = "SELECT value FROM system.metrics WHERE metric = 'StorageBufferRows'"
  const { bytes } = await connection.run(statement, 'TabSeparated')
  const rows = Number(bytes.toString())
  assert(isCount(rows), `the engine counts the rows that it holds, and does not say ${bytes.toString()}`)
  return rows
}

async function bufferTables(connection: EngineConnection): Promise<string[]> {
  const statement = "SELECT database, name FROM system.tables WHERE engine = 'Buffer'"
  const { bytes } = await connection.run(statement, 'JSONCompact')
  const { data } = JSON.parse(bytes.toString()) as { readonly data: readonly (readonly string[])[] }
  return data.map((names) => names.map(quotedName).join('.'))
}
