/** What lies behind the addresses of links. */
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { faultOf } from '#ingest/session/fault.ts'
import { PenstockError } from '#schemas/errors.ts'
import { addressOf, type DeviceAddress } from './addresses.ts'
import { IncomingLink } from './incoming-link.ts'
import type { Link } from './link.ts'
import { OutgoingLink } from './outgoing-link.ts'
import type { Seat, Seats } from './seats.ts'
import type { AmqpSession } from './session.ts'
import { TelemetryTarget } from './telemetry-target.ts'
import { TokenDesk } from './tokens.ts'

export interface NodesOptions {
  readonly edge: EdgeContext
  readonly seats: Seats
  /** A device sent something in the chunk that is being read. */
  readonly touched: (seat: Seat) => void
  /** A token or link was refused. */
  readonly onRefused: (error: PenstockError) => void
}

/** Those of one connection. */
export class Nodes {
  readonly #options: NodesOptions
  readonly #tokens: TokenDesk

  constructor(options: NodesOptions) {
    this.#options = options
    this.#tokens = new TokenDesk({ seats: options.seats, onRefused: options.onRefused })
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
    if (address.kind !== 'tokens') return this.#acceptOfDevice(link, session, address)
    if (link instanceof IncomingLink) this.#tokens.addRequests(link, session)
    else if (link instanceof OutgoingLink) this.#tokens.addAnswers(link)
  }

  async #acceptOfDevice(link: Link, session: AmqpSession, { kind, id }: DeviceAddress): Promise<void> {
    const { edge, seats, touched } = this.#options
    const seat = await seats.take(id)
    if (link.isClosed) return
    if (kind !== 'events' || !(link instanceof IncomingLink)) throw unknownAddress()
    const target = new TelemetryTarget(edge, link, session, seat, touched)
    seat.add(link, () => {})
    link.accept(target)
  }
}

function unknownAddress(): PenstockError {
  return new PenstockError('INGEST_ADDRESS_UNKNOWN', 'there is nothing behind this address')
}
