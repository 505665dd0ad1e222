/** How commands ended, for their senders, as rows of the control store. */
import type { SqlRow } from '#control/store/database.ts'
import type { LockedRows, RecordTable } from '#control/store/locked-records.ts'
import type { CommandEnd } from '#schemas/commands.ts'
import { idFromRow } from './command-rows.ts'
import type { FeedbackBatch, FeedbackRecord } from './commands.ts'

export const feedbackTable: RecordTable = {
  name: 'penstock.feedback',
  columns: 'r.device_id, r.module_id, r.message_id, r.generation_id, r.status, r.at',
}

export interface FeedbackRow extends SqlRow {
  readonly device_id: string
  readonly module_id: string
  readonly message_id: string
  readonly generation_id: string
  readonly status: CommandEnd
  readonly at: Date
}

export function feedbackFromRow(row: FeedbackRow): FeedbackRecord {
  return {
    ...idFromRow(row),
    messageId: row.message_id,
    generationId: row.generation_id,
    status: row.status,
    atMs: row.at.getTime(),
  }
}

export function feedbackBatchOf(taken: LockedRows<FeedbackRow> | undefined): FeedbackBatch | undefined {
  return taken && { lockToken: taken.lockToken, records: taken.rows.map(feedbackFromRow) }
}
