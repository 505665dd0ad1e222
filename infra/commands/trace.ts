/** `penstock trace`: where the messages of a trace are, from rows and from the log, and so where both can be read. */
import { batchTraceOf } from '#infra/roles/batch-spans.ts'
import { openRoleLog, workerGroup } from '#infra/roles/open-role-log.ts'
import { openRoleWarehouse } from '#infra/roles/open-role-warehouse.ts'
import { type Trace, type TracedMessage, tracedRowsMax, traceMessages } from '#pipeline/operate/trace-message.ts'
import { systemClock } from '#runtime/clock.ts'
import { createLogger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Settings } from '#schemas/settings.ts'
import { parseTraceparent } from '#schemas/traceparent.ts'
import { argumentsOf } from './arguments.ts'
import { type Command, write } from './command.ts'

const hoursDefault = 24
const hoursMax = 10 * 365 * 24

const usage = `penstock trace <traceparent, or the trace id in it> [--hours <n>] [--json]

                     where the messages that bring this trace as their property \`traceparent\` are
  --hours <n>        looks for rows of the last n hours; left out: ${hoursDefault}
  --json             as data

Exit code 1: there is none.
`

export const traceCommand: Command = { usage, run: runTrace }

/** @throws CONTROL_COMMAND_INVALID */
async function runTrace(settings: Settings, args: readonly string[]): Promise<number> {
  const { words, flags } = argumentsOf(args, { hours: 'value', json: 'bare' }, invalid)
  const [text = '', ...more] = words
  const traceId = /^[0-9a-f]{32}$/.test(text) ? text : parseTraceparent(text)?.traceId
  if (traceId === undefined || more.length > 0) throw invalid('one traceparent, or 32 hexadecimal digits, is expected')
  const hours = Number(flags.get('hours') ?? hoursDefault)
  if (!(hours > 0 && hours <= hoursMax)) throw invalid(`--hours is a number above 0, and ${hoursMax} at most`)
  const log = await openRoleLog(settings, createLogger('trace', settings.logLevel))
  const warehouse = openRoleWarehouse(settings)
  try {
    const fromMs = systemClock.nowMs() - hours * 3_600_000
    const trace = await traceMessages({ log, group: workerGroup(settings), warehouse, traceId, fromMs })
    const batchesPerTrace = settings.otlpBatchesPerTrace
    write(flags.has('json') ? JSON.stringify(trace, undefined, 2) : renderTrace(trace, hours, batchesPerTrace))
    return trace.messages.length === 0 ? 1 : 0
  } finally {
    await Promise.all([log.close(), warehouse.close()])
  }
}

/** @param batchesPerTrace as edges have it: says which batches have spans */
export function renderTrace(trace: Trace, hours: number, batchesPerTrace: number): string {
  const { messages, hasMoreRows, unreadRecords } = trace
  const parts = messages.map((message) => renderMessage(message, batchesPerTrace))
  if (hasMoreRows) parts.push(`more than ${tracedRowsMax} rows have this trace; the first of them are shown\n`)
  if (messages.length === 0)
    parts.push(
      `no row of the last ${hours} hours and no message that waits on the log has this trace: it is older, it is a dead letter ` +
        '(npx penstock dead-letters list), or it was never acknowledged\n',
    )
  if (unreadRecords > 0) parts.push(`${unreadRecords} batches that wait on the log were not looked through\n`)
  return parts.join('\n')
}

function renderMessage(
  { deviceId, traceparent, enqueuedAtMs, partition, record, row }: TracedMessage,
  batchesPerTrace: number,
): string {
  const at = (ms: number) => new Date(ms).toISOString()
  const batchTrace = record && batchesPerTrace > 0 ? batchTraceOf(partition, record.stamp, batchesPerTrace) : undefined
  const lines = [
    `${deviceId}  ${traceparent}`,
    `  accepted  ${at(enqueuedAtMs)}${record ? `  by ${record.stamp.edgeId}` : ''}`,
    record
      ? `  appended  partition ${partition}, offset ${record.offset}: a batch of ${record.stamp.messageCount}, from ${at(record.stamp.enqueuedAtMsFirst)} to ${at(record.stamp.enqueuedAtMsLast)}`
      : `  appended  partition ${partition}; the log keeps its batch no more, or it was not found`,
    row
      ? `  stored    ${row.storedAtMs === undefined ? 'a row' : at(row.storedAtMs)}, by the insert that begins at offset ${row.rangeOffset}`
      : '  stored    not yet: it waits on the log',
    ...(batchTrace ? [`  spans     of its batch: trace ${batchTrace.traceId}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

function invalid(why: string): PenstockError {
  return new PenstockError('CONTROL_COMMAND_INVALID', `${why}\n\n${usage}`)
}
