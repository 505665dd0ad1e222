/** What lies behind the addresses of services, on one connection. */
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { EventHub } from '#pipeline/reading/reading.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { PartitionAddress, ServiceAddress } from '../addresses.ts'
import { IncomingLink } from '../incoming-link.ts'
import type { Link } from '../link.ts'
import { OutgoingLink } from '../outgoing-link.ts'
import type { AmqpSession } from '../session.ts'
import { startPositionFrom } from './event-filter.ts'
import { ManagementDesk, partitionIn } from './management.ts'
import { PartitionReader } from './partition-reader.ts'
import type { ServicePasses } from './service-passes.ts'
import type { AmqpServices } from './services.ts'

export interface ServiceNodesOptions {
  readonly edge: EdgeContext
  readonly services: AmqpServices
  readonly passes: ServicePasses
}

export class ServiceNodes {
  readonly #options: ServiceNodesOptions
  readonly #management: ManagementDesk

  constructor(options: ServiceNodesOptions) {
    this.#options = options
    const { openedAtMs } = options.services
    this.#management = new ManagementDesk({ openedAtMs, hubNamed: (name) => this.#managedHub(name) })
  }

  /** Accepts a link. Rejects with what its client is to be told. */
  async accept(link: Link, session: AmqpSession, address: ServiceAddress): Promise<void> {
    switch (address.kind) {
      case 'management':
        await this.#acceptManagement(link, session)
        return
      case 'partition':
        if (!(link instanceof OutgoingLink)) throw unknownAddress()
        await this.#acceptReader(link, address)
        return
      default:
        throw unknownAddress()
    }
  }

  /** Whichever hub the requests will be about: the first that the client has a token for. */
  async #acceptManagement(link: Link, session: AmqpSession): Promise<void> {
    await this.#admitToAny(
      link,
      this.#options.services.hubs.names.map((hub) => [hub, '$management']),
    )
    if (link.isClosed) return
    if (link instanceof OutgoingLink) this.#management.addAnswers(link)
    else if (link instanceof IncomingLink) link.accept(this.#management.takerOf(link, session))
    this.#leaveWith(link)
  }

  async #admitToAny(link: Link, resources: readonly (readonly string[])[]): Promise<void> {
    let refused: unknown = unknownAddress()
    for (const resource of resources) {
      try {
        await this.#options.passes.admit(link, resource)
        return
      } catch (error) {
        refused = error
      }
    }
    throw refused
  }

  async #managedHub(name: string): Promise<EventHub> {
    await this.#options.passes.tokenFor([name, '$management'])
    return this.#hubNamed(name)
  }

  /** Rejects with INGEST_ADDRESS_UNKNOWN. */
  async #hubNamed(name: string): Promise<EventHub> {
    const { hubs } = this.#options.services
    const known = name.toLowerCase()
    if (!hubs.names.includes(known))
      throw new PenstockError(
        'INGEST_ADDRESS_UNKNOWN',
        `there is no hub of events ${name.slice(0, 40)}: there are ${hubs.names.join(', ')}`,
      )
    return hubs.hub(known)
  }

  async #acceptReader(link: OutgoingLink, { hub: name, group, partition: text }: PartitionAddress): Promise<void> {
    const { edge, services, passes } = this.#options
    const { selector, epoch, wantsRuntime } = link.request
    // Before anything that a stranger may not know is told.
    await passes.admit(link, [name, 'ConsumerGroups', group, 'Partitions', text])
    this.#leaveWith(link)
    const hub = await this.#hubNamed(name)
    const partition = partitionIn(hub, text)
    if (group.length > limits.consumerGroupLengthMax)
      throw new PenstockError(
        'INGEST_ADDRESS_UNKNOWN',
        `the name of a consumer group has at most ${limits.consumerGroupLengthMax} characters`,
      )
    const start = await hub.find(partition, startPositionFrom(selector))
    if (link.isClosed) return
    const place = `${hub.name}/${group.toLowerCase()}/${partition}`
    const leave = services.readers.enter(place, epoch, (error) => link.detach(error))
    const sent = edge.metrics.series('penstock_edge_events_read_total', { hub: hub.name })
    const reader = new PartitionReader({
      ...{ hub, partition, start, link, turns: services.turns, tellsRuntime: wantsRuntime },
      encoder: services.encoderOf(hub),
      clock: edge.clock,
      logger: edge.logger,
      onSent: (messages) => sent.add(messages),
    })
    this.#leaveWith(link, () => {
      leave()
      reader.end()
    })
    link.accept(reader)
  }

  #leaveWith(link: Link, onEnded: () => void = () => {}): void {
    const before = link.onEnded
    link.onEnded = () => {
      before?.()
      onEnded()
      this.#options.passes.left(link)
    }
  }
}

function unknownAddress(): PenstockError {
  return new PenstockError('INGEST_ADDRESS_UNKNOWN', 'there is nothing behind this address')
}
