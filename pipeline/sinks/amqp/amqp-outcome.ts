import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { MessageOutcome } from '../queues/send-window.ts'

export type AmqpFailure = Exclude<MessageOutcome, { readonly kind: 'delivered' }>

/** What a broker says of a message, a link or a connection (AMQP 1.0 section 2.8). */
export interface AmqpCondition {
  readonly condition?: string | undefined
  readonly description?: string | undefined
}

/** @param fallback for a condition that says nothing in particular */
export function conditionOutcome(
  { condition = '', description = '' }: AmqpCondition,
  fallback: 'retry' | 'refused',
): AmqpFailure {
  const text = `the broker answered ${condition || 'without a reason'}${description === '' ? '' : `: ${description}`}`
  switch (condition) {
    case 'amqp:unauthorized-access':
      return { kind: 'held', error: held(text, 'Unauthorized') }
    case 'amqp:not-found':
    case 'com.microsoft:entity-disabled':
      return { kind: 'held', error: held(text, 'NotFound') }
    case 'amqp:link:message-size-exceeded':
      return { kind: 'refused', error: refused(text, 'MaxMessageSizeExceeded') }
    case 'amqp:resource-limit-exceeded':
    case 'com.microsoft:server-busy':
      return { kind: 'retry', error: unavailable(text, 'Throttled') }
    case 'amqp:internal-error':
    case 'amqp:link:detach-forced':
    case 'com.microsoft:timeout':
      return { kind: 'retry', error: unavailable(text, 'InternalError') }
    default:
      return fallback === 'refused'
        ? { kind: 'refused', error: refused(text) }
        : { kind: 'retry', error: unavailable(text, 'InternalError') }
  }
}
