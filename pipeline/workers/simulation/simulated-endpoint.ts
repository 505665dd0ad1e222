/**
 * An endpoint with its port's promises and not one more:
 *   - what has no answer may have arrived, may still arrive, in part too, or never does
 *   - it refuses messages for what they hold, by name or the whole request; and requests that are too large
 *   - it may be away, or take nothing from us
 */
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { held, refused, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage } from '#pipeline/endpoints/selected-range.ts'
import type { Clock } from '#runtime/clock.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'

export interface Arrival {
  readonly requestId: string
  readonly partition: number
  readonly message: SelectedMessage
}

export interface EndpointFaults {
  /** Share of requests that have no answer. */
  readonly lossShare: number
  /** True: it says which messages it refuses. */
  readonly namesRefused: boolean
  /** Larger requests are refused whole. */
  readonly messagesMax: number
}

export class SimulatedEndpoint implements Endpoint {
  readonly atomic = false
  readonly name = 'simulated-endpoint'
  readonly requestMessagesMax = 4
  readonly requestBytesMax = 10_000
  readonly requestsAtOnceMax = 2
  readonly requestMsMax = 1_000
  /** Every message of every request that arrived, in order. */
  readonly arrivals: Arrival[] = []
  down = false
  /** Takes nothing from us: a key was revoked. */
  holds = false
  faults: EndpointFaults
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #isRefused: (message: SelectedMessage) => boolean

  constructor(
    clock: Clock,
    random: SeededRandom,
    faults: EndpointFaults,
    isRefused: (message: SelectedMessage) => boolean,
  ) {
    this.#clock = clock
    this.#random = random
    this.faults = faults
    this.#isRefused = isRefused
  }

  async deliver(request: EndpointRequest): Promise<RequestOutcome> {
    await this.#pass(50)
    if (this.down) return { kind: 'retry', error: unavailable('simulated: away', 'Transient') }
    if (this.holds) return { kind: 'held', error: held('simulated: no right', 'Unauthorized') }
    if (this.#random.chance(this.faults.lossShare)) return await this.#lose(request)
    if (request.messages.length > this.faults.messagesMax)
      return { kind: 'refused', error: refused('simulated: too large', 'MaxMessageSizeExceeded') }
    const bad = new Map(
      [...request.messages.entries()]
        .filter(([, message]) => this.#isRefused(message))
        .map(([place]) => [place, 'simulated: bad']),
    )
    if (bad.size === 0) {
      this.#arrive(request, request.messages)
      return { kind: 'delivered' }
    }
    if (!this.faults.namesRefused) return { kind: 'refused', error: refused('simulated: bad') }
    const good = request.messages.filter((_, place) => !bad.has(place))
    this.#arrive(request, good)
    return { kind: 'refused', error: refused('simulated: bad'), refused: bad }
  }

  async accepts(): Promise<boolean> {
    await this.#pass(50)
    return !this.holds
  }

  async close(): Promise<void> {}

  async #lose(request: EndpointRequest): Promise<RequestOutcome> {
    const error = unavailable('simulated: no answer', 'Timeout')
    const good = request.messages.filter((message) => !this.#isRefused(message))
    const count = this.#random.integer(0, good.length)
    if (this.#random.chance(0.3)) this.#clock.after(this.#random.integer(0, 5_000), () => this.#arrive(request, good))
    else this.#arrive(request, good.slice(0, count))
    await this.#pass(this.requestMsMax)
    return { kind: 'retry', error }
  }

  #arrive({ id: requestId, partition }: EndpointRequest, messages: readonly SelectedMessage[]): void {
    for (const message of messages) this.arrivals.push({ requestId, partition, message })
  }

  #pass(delayMsMax: number): Promise<void> {
    return new Promise((resolve) => this.#clock.after(this.#random.integer(0, delayMsMax), resolve))
  }
}
