/** What lies behind the addresses of links. */

import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { faultOf } from '#ingest/session/fault.ts'
import type { RegistrantId } from '#ingest/session/principal.ts'
import { PenstockError } from '#schemas/errors.ts'
import { addressOf, type DeviceAddress } from './addresses.ts'
import { outcomeFrom, writtenDelivery } from './device-deliveries.ts'
import { DeviceRequests } from './device-requests.ts'
import { IncomingLink } from './incoming-link.ts'
import type { Link } from './link.ts'
import { OutgoingLink } from './outgoing-link.ts'
import { RegistrationDesk } from './registrations.ts'
import type { Seat, Seats } from './seats.ts'
import type { ServiceSide } from './service-side.ts'
import type { AmqpSession } from './session.ts'
import { TelemetryTarget } from './telemetry-target.ts'
import { TokenDesk } from './tokens.ts'

export interface NodesOptions {
  readonly edge: EdgeContext
  readonly seats: Seats
  /** `undefined`: nobody registers here. */
  readonly provisioning: Provisioning | undefined
  /** `undefined`: only devices are served. */
  readonly services: () => ServiceSide | undefined
  /** A device sent something in the chunk that is being read. */
  readonly touched: (seat: Seat) => void
  /** A token or link was refused. */
  readonly onRefused: (error: PenstockError) => void
}

/** Those of one connection. */
export class Nodes {
  readonly #options: NodesOptions
  readonly #tokens: TokenDesk
  /** Gone with the seat. */
  #requests: WeakMap<Seat, DeviceRequests> | undefined = undefined
  #registrations: WeakMap<Seat, RegistrationDesk> | undefined = undefined

  constructor(options: NodesOptions) {
    this.#options = options
    const { seats, services, onRefused } = options
    this.#tokens = new TokenDesk({ seats, services, onRefused })
  }

  /** Accepts or refuses a link. Never rejects. */
  async attach(link: Link, session: AmqpSession): Promise<void> {
    try {
      await this.#accept(link, session)
    } catch (error) {
      const fault = faultOf(error)
      link.refuse(fault)
      this.#options.onRefused(fault)
    }
  }

  #accept(link: Link, session: AmqpSession): void | Promise<void> {
    const { clientSends, sourceAddress, targetAddress } = link.request
    const address = addressOf((clientSends ? targetAddress : sourceAddress) ?? '')
    if (address === undefined) throw unknownAddress()
    if ('id' in address) return this.#acceptOfDevice(link, session, address)
    if (address.kind === 'registration') return this.#acceptOfRegistrant(link, session, address.registrant)
    if (address.kind !== 'tokens') {
      const services = this.#options.services()
      if (services === undefined) throw unknownAddress()
      return services.accept(link, session, address)
    }
    if (link instanceof IncomingLink) this.#tokens.addRequests(link, session)
    else if (link instanceof OutgoingLink) this.#tokens.addAnswers(link)
  }

  async #acceptOfDevice(link: Link, session: AmqpSession, { kind, id }: DeviceAddress): Promise<void> {
    const { edge, seats, touched } = this.#options
    // Before anybody is let in for it.
    if (kind === (link instanceof IncomingLink ? 'commands' : 'events')) throw unknownAddress()
    const seat = seated(await seats.take(id))
    if (link.isClosed) return
    if (link instanceof OutgoingLink && kind !== 'events') this.#deliverOn(link, seat, kind)
    else if (link instanceof IncomingLink && kind !== 'commands') {
      const taker =
        kind === 'events'
          ? new TelemetryTarget({ edge, link, session, seat, id, touched })
          : this.#requestsOf(seat).takerOf(kind, session)
      seat.add(link, () => {})
      link.accept(taker)
    }
  }

  async #acceptOfRegistrant(link: Link, session: AmqpSession, registrant: RegistrantId): Promise<void> {
    const { seats, provisioning } = this.#options
    if (provisioning === undefined || registrant.idScope !== provisioning.idScope) throw unknownAddress()
    const seat = seated(await seats.take(registrant))
    if (link.isClosed) return
    const desk = this.#registrationsOf(seat, provisioning)
    if (link instanceof OutgoingLink) desk.answerOn(link)
    else if (link instanceof IncomingLink) desk.takeFrom(link, session)
  }

  /** From here on the device listens on this link; of several the newest counts. */
  #deliverOn(link: OutgoingLink, seat: Seat, kind: keyof typeof feedsOf): void {
    const { edge } = this.#options
    const send = async (delivery: Delivery): Promise<Outcome> => {
      if (delivery.feed === 'registration') return 'notSubscribed'
      const { payload, tag, settled } = writtenDelivery(delivery, (id) => this.#requestsOf(seat).correlationOf(id))
      edge.counters.delivered.add(1)
      return outcomeFrom(await link.send(payload, tag, settled))
    }
    const { session } = seat
    seat.senders ??= new Map()
    const { senders } = seat
    seat.add(link, () => {
      for (const feed of [...feedsOf[kind], ...askedFor]) {
        if (senders.get(feed) !== send) continue
        senders.delete(feed)
        if (seat.isSeated) session.unsubscribe(feed)
      }
    })
    link.accept()
    if (kind === 'twin') for (const feed of askedFor) senders.set(feed, send)
    for (const feed of feedsOf[kind]) {
      senders.set(feed, send)
      session.subscribe(feed, feed === 'commands' ? 1 : 0)
    }
  }

  #requestsOf(seat: Seat): DeviceRequests {
    this.#requests ??= new WeakMap()
    const known = this.#requests.get(seat)
    if (known !== undefined) return known
    const made = new DeviceRequests(this.#options.edge, seat, this.#options.touched)
    this.#requests.set(seat, made)
    return made
  }

  #registrationsOf(seat: Seat, provisioning: Provisioning): RegistrationDesk {
    this.#registrations ??= new WeakMap()
    const known = this.#registrations.get(seat)
    if (known !== undefined) return known
    const made = new RegistrationDesk({ edge: this.#options.edge, provisioning, seat, touched: this.#options.touched })
    this.#registrations.set(seat, made)
    return made
  }
}

/** What a device listens to with a link. */
const feedsOf = { commands: ['commands'], methods: ['methods'], twin: ['twinAnswers'] } as const
/** What it then still asks for, with a request. */
const askedFor = ['desired'] as const

/** It may have ended meanwhile, for a newer connection or because it was revoked. @throws INGEST_TAKE_OVER */
function seated(seat: Seat): Seat {
  if (!seat.isSeated) throw new PenstockError('INGEST_TAKE_OVER', 'the device is not on this connection any more')
  return seat
}

function unknownAddress(): PenstockError {
  return new PenstockError('INGEST_ADDRESS_UNKNOWN', 'there is nothing behind this address')
}
