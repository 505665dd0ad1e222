import type { Endpoint, EndpointRequest, RequestOutcome } from '../endpoint.ts'
import { held, refused, unavailable } from '../endpoint-error.ts'
import type { SelectedMessage } from '../selected-range.ts'

/** The server of memory endpoints, for tests. */
export class MemoryReceiver {
  readonly requests: { readonly id: string; readonly messages: readonly SelectedMessage[] }[] = []
  isAway = false
  hasRight = true
  /** A request with this body in it is refused. */
  badBody: string | undefined
  bodyBytesMax = Number.POSITIVE_INFINITY
}

/** An endpoint in memory, for tests; every step takes a turn of the event loop, so that it can be cut off. */
export class MemoryEndpoint implements Endpoint {
  readonly atomic = false
  readonly name: string
  readonly requestMessagesMax = 100
  readonly requestBytesMax = 100_000
  readonly requestsAtOnceMax = 4
  readonly requestMsMax = 1_000
  readonly #receiver: MemoryReceiver
  #isClosed = false

  constructor(receiver: MemoryReceiver, name = 'memory-endpoint') {
    this.#receiver = receiver
    this.name = name
  }

  async deliver({ id, messages }: EndpointRequest, ended: AbortSignal): Promise<RequestOutcome> {
    await turn()
    const { isAway, hasRight, badBody, bodyBytesMax } = this.#receiver
    if (isAway || ended.aborted || this.#isClosed)
      return { kind: 'retry', error: unavailable('no connection', 'Transient') }
    if (!hasRight) return { kind: 'held', error: held('no right', 'Unauthorized') }
    if (messages.some(({ body }) => body.length > bodyBytesMax))
      return { kind: 'refused', error: refused('too large', 'MaxMessageSizeExceeded') }
    if (messages.some(({ body }) => Buffer.from(body).toString() === badBody))
      return { kind: 'refused', error: refused('a bad message') }
    this.#receiver.requests.push({ id, messages })
    await turn()
    // The answer takes a turn too, and may be lost on it.
    if (ended.aborted || this.#isClosed) return { kind: 'retry', error: unavailable('no answer', 'Timeout') }
    return { kind: 'delivered' }
  }

  async accepts(): Promise<boolean> {
    return this.#receiver.hasRight
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }
}

/** One way over the network that is not there. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
