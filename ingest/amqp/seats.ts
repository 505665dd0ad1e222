/**
 * The devices of one connection. Each has a session of its own, as if it had come alone.
 *
 *   token ─▶ its turn ─▶ credentials ─▶ session ─▶ links … ─▶ its last link ends, or what it was let in with does ─▶ no session
 *                                          └── a link, later: the token that is known, or the certificate of the connection
 *
 * One that ends, for what it did or for a newer connection, takes its own links with it and no others. The connection ends with its only one.
 */
import { Admission } from '#ingest/session/admission.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import type { DeviceSession } from '#ingest/session/device-session.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { type Principal, type RegistrantId, registrantSessionId, sessionIdOf } from '#ingest/session/principal.ts'
import type { Carrier } from '#ingest/session/session.ts'
import type { Transport } from '#ingest/session/transport.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { IncomingLink } from './incoming-link.ts'
import type { Link } from './link.ts'

/** What seats need of their connection. */
export interface SeatConnection {
  readonly edge: EdgeContext
  readonly transport: Transport
  readonly silentMs: number
  readonly isOver: boolean
  /** It is known now who sends. */
  proven(): void
  fail(error: PenstockError): void
}

/** Who may have a seat: a device or module, or who wants to register. */
export type Occupant = IdentityId | RegistrantId

/** A device or module on a connection, or who registers there. */
export class Seat implements Carrier {
  readonly protocol = 'amqp'
  /** Of its session. */
  readonly name: string
  readonly links = new Set<Link>()
  /** Of the chunk that is being read. */
  messages = 0
  bytes = 0
  /** It sent more than its quota has: no credit until then. */
  isHeld = false
  /** How deliveries leave, by feed; set by the links that take them. */
  senders: Map<Delivery['feed'], (delivery: Delivery) => Promise<Outcome>> | undefined = undefined
  readonly #seats: Seats
  #session: DeviceSession | undefined = undefined

  constructor(seats: Seats, name: string) {
    this.#seats = seats
    this.name = name
  }

  get session(): DeviceSession {
    assert(this.#session !== undefined, 'a device that was let in has a session')
    return this.#session
  }

  /** False once it ended. */
  get isSeated(): boolean {
    return this.#seats.has(this)
  }

  begin(session: DeviceSession): void {
    this.#session = session
  }

  get silentMs(): number {
    return this.#seats.connection.silentMs
  }

  fail(error: PenstockError): void {
    this.#seats.failed(this, error)
  }

  send(delivery: Delivery): Promise<Outcome> {
    return this.senders?.get(delivery.feed)?.(delivery) ?? Promise.resolve('notSubscribed')
  }

  /** Its links may send again. */
  grant(): void {
    for (const link of this.links) if (link instanceof IncomingLink) link.grant()
  }

  /** A link of the device was accepted. */
  add(link: Link, onEnded: () => void): void {
    assert(this.isSeated, 'links are of a device that is let in: of one that has ended they would go on [G-6]')
    assert(!link.isClosed && link.onEnded === undefined, 'a link is of one device, which hears of its end')
    this.links.add(link)
    link.onEnded = () => {
      this.links.delete(link)
      onEnded()
      if (this.links.size === 0) this.#seats.left(this)
    }
  }
}

export class Seats {
  readonly connection: SeatConnection
  readonly #seats = new Map<string, Seat>()
  /** Seats that are being decided on. */
  readonly #underWay = new Map<string, Promise<Seat>>()
  /** What devices were let in with, to be let in again. */
  readonly #tokens = new Map<string, Buffer>()
  #policyTokens: readonly Buffer[] = []
  /** Each ends a wait for a turn. */
  #waits: Set<() => void> | undefined = undefined

  constructor(connection: SeatConnection) {
    this.connection = connection
  }

  get count(): number {
    return this.#seats.size
  }

  /** False once it ended. */
  has(seat: Seat): boolean {
    return this.#seats.get(seat.name) === seat
  }

  get all(): Iterable<Seat> {
    return this.#seats.values()
  }

  /** A device proves itself, for the first time or anew. Rejects with what it is to be told. */
  async prove(who: Occupant, token: Buffer): Promise<void> {
    const name = nameOf(who)
    // Awaits nothing where nothing is under way: of two tokens that came together both would enter, and one session be nobody's.
    for (let entering = this.#underWay.get(name); entering !== undefined; entering = this.#underWay.get(name))
      await entering.catch(() => {})
    const seat = this.#seats.get(name)
    if (seat === undefined) await this.#enter(who, [token])
    else {
      const identified = await this.#identify(who, this.#admission(who, token))
      if (seat.isSeated) seat.session.renew(identified)
    }
    this.#keepToken(name, token)
  }

  /** Asks something for somebody who has not proven anything yet. Rejects with what it is to be told. */
  ask<T>(who: Occupant, ask: () => Promise<T>): Promise<T> {
    return this.#inTurn(this.#admission(who, undefined), ask)
  }

  /** Holds a token that speaks for many devices; it is judged with the first link of each. */
  holdPolicyToken(token: Buffer): void {
    this.#policyTokens = [token, ...this.#policyTokens].slice(0, limits.amqpPolicyTokensMax)
  }

  /** The seat of a device or of who registers, who is let in if it was not yet. Rejects with what it is to be told. */
  take(who: Occupant): Promise<Seat> {
    const name = nameOf(who)
    const known = this.#seats.get(name)
    if (known !== undefined) return Promise.resolve(known)
    const underWay = this.#underWay.get(name)
    if (underWay !== undefined) return underWay
    const token = this.#tokens.get(name)
    // A policy's token speaks for devices of the hub, and for nobody who looks for one.
    const shared = isRegistrant(who) ? [] : this.#policyTokens
    return this.#enter(who, token === undefined ? [...shared, undefined] : [token])
  }

  /** A device ends for a fault. */
  failed(seat: Seat, error: PenstockError): void {
    const { connection } = this
    if (!this.has(seat)) return
    if (this.#seats.size === 1 && this.#underWay.size === 0 && this.#policyTokens.length === 0) {
      connection.fail(error)
      return
    }
    const { metrics, refusals } = connection.edge
    metrics.series('penstock_edge_amqp_devices_ended_total', { reason: error.code }).add(1)
    refusals.tell(error, connection.transport.remoteAddress)
    this.#forget(seat, error.code)
    for (const link of [...seat.links]) link.detach(error)
  }

  /** The last link of a device ended. */
  left(seat: Seat): void {
    if (!this.connection.isOver) this.#forget(seat, 'CLOSED_BY_CLIENT')
  }

  /** The connection is over. @param reason error code, or who closed */
  end(reason: string): void {
    for (const endWait of [...(this.#waits ?? [])]) endWait()
    for (const seat of [...this.#seats.values()]) this.#forget(seat, reason)
    this.#tokens.clear()
    this.#policyTokens = []
  }

  #forget(seat: Seat, reason: string): void {
    if (!this.has(seat)) return
    this.#seats.delete(seat.name)
    seat.session.end(reason)
  }

  #keepToken(name: string, token: Buffer): void {
    this.#tokens.delete(name)
    this.#tokens.set(name, token)
    const [oldest] = this.#tokens.keys()
    if (this.#tokens.size > limits.amqpSessionsMax && oldest !== undefined) this.#tokens.delete(oldest)
  }

  /** @param proofs are tried one after the other */
  #enter(who: Occupant, proofs: readonly (Buffer | undefined)[]): Promise<Seat> {
    const name = nameOf(who)
    assert(!this.#underWay.has(name), 'one decision at a time is made on a device')
    const entering = this.#enterWith(who, proofs).finally(() => this.#underWay.delete(name))
    this.#underWay.set(name, entering)
    return entering
  }

  async #enterWith(who: Occupant, proofs: readonly (Buffer | undefined)[]): Promise<Seat> {
    let refused = new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    for (const proof of proofs) {
      const admission = this.#admission(who, proof)
      try {
        return this.#open(nameOf(who), admission, await this.#identify(who, admission))
      } catch (error) {
        if (!(error instanceof PenstockError)) throw error
        refused = error
        if (error.code !== 'INGEST_NOT_AUTHORIZED') break
      }
    }
    throw refused
  }

  #admission(who: Occupant, password: Buffer | undefined): Admission {
    const { edge, transport } = this.connection
    const named = isRegistrant(who)
      ? { clientId: who.registrationId, username: `${who.idScope}/registrations/${who.registrationId}` }
      : { clientId: identityText(who), username: undefined }
    return new Admission(edge, transport, { ...named, password, resumes: false })
  }

  async #identify(who: Occupant, admission: Admission): Promise<Principal> {
    return this.#inTurn(admission, async () => {
      const principal = await admission.identify()
      if (isRegistrant(who) !== (principal.registrant !== undefined))
        throw new PenstockError('INGEST_NOT_AUTHORIZED', 'a device and who registers are two')
      return principal
    })
  }

  /** Waits its turn, and is judged. */
  async #inTurn<T>(admission: Admission, judge: () => Promise<T>): Promise<T> {
    const waitMs = admission.waitMs()
    if (waitMs > 0) await this.#turn(waitMs)
    if (this.connection.isOver) throw over()
    try {
      return await judge()
    } catch (error) {
      throw admission.refusal(error)
    }
  }

  #turn(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel()
        this.#waits?.delete(done)
        resolve()
      }
      const cancel = this.connection.edge.clock.after(waitMs, done)
      this.#waits ??= new Set()
      this.#waits.add(done)
    })
  }

  #open(name: string, admission: Admission, identified: Principal): Seat {
    if (this.connection.isOver) throw over()
    const { sessions, connectionsMax } = this.connection.edge
    // Each device counts as a connection, however few carry them.
    if (sessions.size >= connectionsMax && !sessions.has(name))
      throw new PenstockError('INGEST_CONNECTIONS_FULL', `this edge holds its ${connectionsMax} devices`)
    // What is kept of a session of MQTT is of no use here: links are made anew with each connection.
    const principal = { ...identified, kept: undefined }
    assert(sessionIdOf(principal) === name, 'who is let in is who was asked about [G-6]')
    const seat = new Seat(this, name)
    const session = admission.open(principal, seat)
    seat.begin(session)
    assert(!this.#seats.has(name), 'a device has one seat: the session of another would never end')
    this.#seats.set(name, seat)
    session.hold(principal, name)
    this.connection.proven()
    return seat
  }
}

function isRegistrant(who: Occupant): who is RegistrantId {
  return 'registrationId' in who
}

function nameOf(who: Occupant): string {
  return isRegistrant(who) ? registrantSessionId(who) : identityText(who)
}

function over(): PenstockError {
  return new PenstockError('INGEST_DRAINING', 'the connection has ended')
}
