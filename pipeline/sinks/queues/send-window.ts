import type { RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import type { EndpointError } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import { assert } from '#runtime/assert.ts'

/** What became of one message, as of `RequestOutcome`. */
export type MessageOutcome =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'retry' | 'refused' | 'held'; readonly error: EndpointError }

/**
 * Sends messages one after the other, with so many under way at most, until one shows that the server takes nothing at present; then none is
 * begun any more, and those under way are waited for.
 *
 *   messages    0 1 2 3 4 5 6
 *   outcomes    d d r u d - -     d delivered, r refused, u unknown, - not begun      → `retry` from 2 on: 4 comes again under its id
 *               d d r d d d d                                                         → `refused`: 2
 */
export async function sendInWindow(
  messages: readonly SelectedMessage[],
  windowMessages: number,
  send: (message: SelectedMessage) => Promise<MessageOutcome>,
): Promise<RequestOutcome> {
  assert(windowMessages > 0, 'a message may be under way')
  const outcomes: MessageOutcome[] = []
  const underWay = new Set<Promise<void>>()
  let isStopped = false
  for (const [place, message] of messages.entries()) {
    const sending = send(message).then((outcome) => {
      outcomes[place] = outcome
      isStopped ||= outcome.kind === 'retry' || outcome.kind === 'held'
      underWay.delete(sending)
    })
    underWay.add(sending)
    if (underWay.size >= windowMessages) await Promise.race(underWay)
    if (isStopped) break
  }
  await Promise.all(underWay)
  assert(
    isStopped || outcomes.length === messages.length,
    'every message has an outcome, unless one stopped the others',
  )
  return together(outcomes)
}

function together(outcomes: readonly MessageOutcome[]): RequestOutcome {
  const [stop] = outcomes.filter(({ kind }) => kind === 'held' || kind === 'retry')
  if (stop !== undefined && stop.kind !== 'delivered') {
    const deliveredCount = outcomes.findIndex(({ kind }) => kind !== 'delivered')
    assert(deliveredCount >= 0, 'what stopped the others was not delivered')
    // Whoever has taken some holds the rest when they come again.
    if (stop.kind === 'held' && deliveredCount === 0) return { kind: 'held', error: stop.error }
    return { kind: 'retry', error: stop.error, deliveredCount }
  }
  const refused = new Map<number, string>()
  let error: EndpointError | undefined
  for (const [place, outcome] of outcomes.entries()) {
    if (outcome.kind === 'delivered') continue
    error ??= outcome.error
    refused.set(place, outcome.error.message)
  }
  return error === undefined ? { kind: 'delivered' } : { kind: 'refused', error, refused }
}
