/** What lies behind the addresses of services, on one connection. */

import type { PartitionAddress, ServiceAddress } from '#ingest/amqp/addresses.ts'
import { RedirectError } from '#ingest/amqp/conditions.ts'
import { IncomingLink } from '#ingest/amqp/incoming-link.ts'
import type { Link } from '#ingest/amqp/link.ts'
import { OutgoingLink } from '#ingest/amqp/outgoing-link.ts'
import type { SeatConnection } from '#ingest/amqp/seats.ts'
import type { OpenServiceSide, ServiceSide } from '#ingest/amqp/service-side.ts'
import type { AmqpSession } from '#ingest/amqp/session.ts'
import type { EventHub } from '#pipeline/reading/reading.ts'
import { assert } from '#runtime/assert.ts'
import { isCount } from '#runtime/count.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type AskForCommand, CommandSender } from './command-sender.ts'
import { startPositionFrom } from './event-filter.ts'
import { ManagementDesk, partitionIn } from './management.ts'
import { PartitionReader } from './partition-reader.ts'
import { type AskForRecords, RecordReceiver } from './record-receiver.ts'
import { ServicePasses } from './service-passes.ts'
import type { ServiceAnswer, ServiceRequest, ServiceRequests } from './service-requests.ts'
import type { AmqpServices } from './services.ts'

/** Of the service API. */
const recordPaths = {
  feedback: '/messages/serviceBound/feedback',
  files: '/messages/serviceBound/fileNotifications',
} as const

/** What is there for services on each connection of an edge. */
export function openServices(services: AmqpServices): OpenServiceSide {
  return (connection) => new ServiceNodes(connection, services)
}

class ServiceNodes implements ServiceSide {
  readonly #connection: SeatConnection
  readonly #services: AmqpServices
  readonly #passes: ServicePasses
  readonly #management: ManagementDesk

  constructor(connection: SeatConnection, services: AmqpServices) {
    this.#connection = connection
    this.#services = services
    this.#passes = new ServicePasses(connection, services.authorize)
    const { openedAtMs } = services
    this.#management = new ManagementDesk({ openedAtMs, hubNamed: (name) => this.#managedHub(name) })
  }

  get count(): number {
    return this.#passes.count
  }

  prove(path: readonly string[], token: Buffer): Promise<void> {
    return this.#passes.prove(path, token)
  }

  hold(path: readonly string[], token: Buffer): void {
    this.#passes.hold(path, token)
  }

  lookAgain(): Promise<void> {
    return this.#passes.lookAgain()
  }

  end(): void {
    this.#passes.end()
  }

  async accept(link: Link, session: AmqpSession, address: ServiceAddress): Promise<void> {
    switch (address.kind) {
      case 'management':
        await this.#acceptManagement(link, session)
        return
      case 'partition':
        if (!(link instanceof OutgoingLink)) throw unknownAddress()
        await this.#acceptReader(link, address)
        return
      case 'moved':
        await this.#redirect(link, address.path)
        return
      case 'sentCommands':
        if (!(link instanceof IncomingLink)) throw unknownAddress()
        await this.#acceptCommands(link, session)
        return
      case 'feedback':
      case 'files':
        if (!(link instanceof OutgoingLink)) throw unknownAddress()
        await this.#acceptReceiver(link, recordPaths[address.kind])
        return
    }
  }

  /** Services of old look for events where the hub once had them, and are told where they are. */
  async #redirect(link: Link, path: string): Promise<void> {
    await this.#passes.admit(link, ['messages', 'events', ...path.split('/')])
    this.#leaveWith(link)
    const { host, port } = this.#services.place
    throw new RedirectError(host, port, `telemetry/${path}`)
  }

  async #acceptCommands(link: IncomingLink, session: AmqpSession): Promise<void> {
    const resource = ['messages', 'devicebound']
    await this.#passes.admit(link, resource)
    this.#leaveWith(link)
    const requests = this.#requests()
    const ask: AskForCommand = (body) => this.#ask(requests, resource, { method: 'POST', path: '/api/commands', body })
    if (!link.isClosed) link.accept(new CommandSender(ask, link, session))
  }

  async #acceptReceiver(link: OutgoingLink, path: string): Promise<void> {
    const resource = path.split('/').slice(1)
    await this.#passes.admit(link, resource)
    const { clock } = this.#connection.edge
    this.#leaveWith(link)
    const requests = this.#requests()
    const ask: AskForRecords = (request) => this.#ask(requests, resource, request)
    const receiver = new RecordReceiver({ ask, path, link, clock })
    this.#whenEnded(link, () => receiver.end())
    if (!link.isClosed) link.accept(receiver)
  }

  /** By the token that is good at this moment. */
  async #ask(
    requests: ServiceRequests,
    resource: readonly string[],
    request: Omit<ServiceRequest, 'authorization' | 'remoteAddress'>,
  ): Promise<ServiceAnswer> {
    const { remoteAddress } = this.#connection.transport
    return requests({ ...request, authorization: await this.#passes.tokenFor(resource), remoteAddress })
  }

  /** @throws INGEST_ADDRESS_UNKNOWN */
  #requests(): ServiceRequests {
    const { requests } = this.#services
    if (requests === undefined) throw unknownAddress()
    return requests
  }

  /** Whichever hub the requests will be about: the first that the client has a token for. */
  async #acceptManagement(link: Link, session: AmqpSession): Promise<void> {
    await this.#admitToAny(
      link,
      this.#services.hubs.names.map((hub) => [hub, '$management']),
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
        await this.#passes.admit(link, resource)
        return
      } catch (error) {
        refused = error
      }
    }
    throw refused
  }

  async #managedHub(name: string): Promise<EventHub> {
    await this.#passes.tokenFor([name, '$management'])
    return this.#hubNamed(name)
  }

  /** Rejects with INGEST_ADDRESS_UNKNOWN. */
  async #hubNamed(name: string): Promise<EventHub> {
    const { hubs } = this.#services
    const known = name.toLowerCase()
    if (!hubs.names.includes(known))
      throw new PenstockError(
        'INGEST_ADDRESS_UNKNOWN',
        `The messaging entity ${name.slice(0, 40)} could not be found: there are ${hubs.names.join(', ')}`,
      )
    return hubs.hub(known)
  }

  async #acceptReader(link: OutgoingLink, { hub: name, group, partition: text }: PartitionAddress): Promise<void> {
    const [passes, services] = [this.#passes, this.#services]
    const { edge } = this.#connection
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
    const isNumber = isCount(start.sequence)
    assert(isNumber, `a reader begins with a number, and not with ${start.sequence}`)
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
    this.#whenEnded(link, () => {
      leave()
      reader.end()
    })
    link.accept(reader)
  }

  #leaveWith(link: Link): void {
    this.#whenEnded(link, () => this.#passes.left(link))
  }

  #whenEnded(link: Link, action: () => void): void {
    const before = link.onEnded
    link.onEnded = () => {
      before?.()
      action()
    }
  }
}

function unknownAddress(): PenstockError {
  return new PenstockError('INGEST_ADDRESS_UNKNOWN', 'there is nothing behind this address')
}
