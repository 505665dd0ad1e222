import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { AuthorizeService } from '#ingest/session/principal.ts'
import type { EventHub, EventHubs } from '#pipeline/reading/reading.ts'
import { EventEncoder } from './event-encoder.ts'
import { PartitionReaders, type ReaderClaim } from './partition-readers.ts'
import { ReadingTurns } from './reading-turns.ts'
import type { ServiceRequests } from './service-requests.ts'

export interface ServiceOptions {
  /** Left out: whoever is on this machine may do all. */
  readonly authorize: AuthorizeService | undefined
  readonly hubs: EventHubs
  /** Where this edge is reached over AMQP with TLS. */
  readonly place: { readonly host: string; readonly port: number }
  /** Tells the other edge processes of this machine; left out: there are none. */
  readonly tellClaim?: ((claim: ReaderClaim) => void) | undefined
  /** Left out: commands, feedback and file notifications are not served. */
  readonly requests?: ServiceRequests | undefined
}

/** What services find at an edge process, shared by all its connections. */
export class AmqpServices {
  readonly authorize: AuthorizeService | undefined
  readonly hubs: EventHubs
  readonly requests: ServiceRequests | undefined
  readonly place: ServiceOptions['place']
  readonly readers: PartitionReaders
  readonly turns: ReadingTurns
  readonly openedAtMs: number
  readonly #encoders = new Map<EventHub, EventEncoder>()

  constructor(
    { authorize, hubs, requests, place, tellClaim = () => {} }: ServiceOptions,
    { batcher, clock }: EdgeContext,
  ) {
    this.authorize = authorize
    this.hubs = hubs
    this.requests = requests
    this.place = place
    this.turns = new ReadingTurns(() => batcher.full)
    this.readers = new PartitionReaders(clock, tellClaim)
    this.openedAtMs = clock.nowMs()
  }

  /** Made for the first reader of a hub. */
  encoderOf(hub: EventHub): EventEncoder {
    const known = this.#encoders.get(hub)
    if (known !== undefined) return known
    const made = new EventEncoder()
    this.#encoders.set(hub, made)
    return made
  }
}
