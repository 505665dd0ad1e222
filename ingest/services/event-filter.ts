import type { StartPosition } from '#pipeline/reading/reading.ts'
import { PenstockError } from '#schemas/errors.ts'

const form =
  /^\s*amqp\.annotation\.x-opt-(offset|sequence-number|enqueued-?time(?:-?utc)?)\s*(>=?)\s*'?([^'\s]{1,32})'?\s*$/i

/**
 * Where a receiver begins, as the clients of Event Hubs write it:
 *
 *   amqp.annotation.x-opt-offset > '{offset}'            `-1`: with the oldest, `@latest`: with what comes from now on
 *   amqp.annotation.x-opt-sequence-number >= '{number}'  with it, else behind it
 *   amqp.annotation.x-opt-enqueued-time > '{ms}'         UTC milliseconds
 *
 * @param selector left out: with the oldest
 * @throws INGEST_BODY_MALFORMED
 */
export function startPositionFrom(selector: string | undefined): StartPosition {
  if (selector === undefined) return { from: 'oldest' }
  const [, annotation = '', operator, value = ''] = form.exec(selector) ?? []
  const inclusive = operator === '>='
  if (annotation.toLowerCase() === 'offset' && value.toLowerCase() === '@latest') return { from: 'latest' }
  const number = Number(value)
  if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(number) || number < -1)
    throw new PenstockError(
      'INGEST_BODY_MALFORMED',
      `a filter is a comparison of x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time by > or >=, and not ${selector.slice(0, 100)}`,
    )
  if (/^enqueued/i.test(annotation)) return { from: 'time', atMs: number, inclusive }
  return number === -1 ? { from: 'oldest' } : { from: 'sequence', sequence: number, inclusive }
}
