/**
 * `POST /console/sql`: runs one statement as an analyst and answers with a JSON object a line, as they come: `begun` at once, `elapsedMs`
 * every second, what ClickHouse says (`meta`, `row`, `progress`), then nothing, `cut` where there was more, or `fault`. A client that
 * goes ends the statement.
 */
import type { Operation } from '#control/rest/operation.ts'
import { bytes, text } from '#runtime/api/told.ts'
import { limits } from '#schemas/limits.ts'
import type { AnalystSql } from './sql.ts'

export function sqlOperations(sql: AnalystSql): Operation[] {
  return [
    {
      method: 'POST',
      pattern: '/console/sql',
      told: {
        summary: 'Runs a statement as the user for analysts; the answer goes on, one JSON object a line',
        asked: text(),
        answered: { 200: { description: 'what comes of it', body: bytes('application/x-ndjson') } },
      },
      right: 'ServiceConnect',
      ownerOnly: true,
      audited: 'used',
      bodyBytesMax: limits.consoleStatementBytesMax,
      run: async (_request, body) => ({
        status: 200,
        headers: { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' },
        stream: sql.run(Buffer.from(body).toString()),
      }),
    },
  ]
}
