import type { ServiceAddress } from './addresses.ts'
import type { Link } from './link.ts'
import type { SeatConnection } from './seats.ts'
import type { AmqpSession } from './session.ts'

/** What is there for services on one connection (`ingest/services/`). */
export interface ServiceSide {
  /** Links of services that are open. */
  readonly count: number
  /** Judges a token by what it says it is for, and holds it. Rejects with what its sender is to be told. */
  prove(path: readonly string[], token: Buffer): Promise<void>
  /** Holds a token, to be judged with the first link. */
  hold(path: readonly string[], token: Buffer): void
  /** Accepts a link. Rejects with what its client is to be told. */
  accept(link: Link, session: AmqpSession, address: ServiceAddress): Promise<void>
  /** Ends links whose tokens are not good any more. Never rejects. */
  lookAgain(): Promise<void>
  /** The connection is over. */
  end(): void
}

/** Made for the first service of a connection: most are of devices. */
export type OpenServiceSide = (connection: SeatConnection) => ServiceSide
