import { setTimeout } from 'node:timers/promises'
import { type Engine, sqlText } from './engine.ts'
import type { Reply } from './reply.ts'

/**
 * Sends the progress of a statement, in header lines of the answer, until the answer begins or `signal` aborts.
 * @param delayMs between two lines, and before the first one; most statements end sooner
 */
export async function sendProgress(
  engine: Engine,
  queryId: string,
  reply: Reply,
  delayMs: number,
  signal: AbortSignal,
): Promise<void> {
  const connection = engine.connect()
  const ask =
    'SELECT toString(read_rows) AS read_rows, toString(read_bytes) AS read_bytes, toString(written_rows) AS written_rows, ' +
    'toString(written_bytes) AS written_bytes, toString(total_rows_approx) AS total_rows_to_read, ' +
    "toString(toUInt64(elapsed * 1e9)) AS elapsed_ns FROM system.processes WHERE Settings['log_comment'] = " +
    `${sqlText(queryId)} LIMIT 1`
  try {
    for (;;) {
      await setTimeout(delayMs, undefined, { signal })
      const { bytes } = await connection.run(ask, 'JSONEachRow')
      if (!signal.aborted && bytes.length > 0 && !reply.progress(bytes.toString().trim())) return
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    connection.close()
  }
}
