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
import type { Principal } from '#ingest/session/principal.ts'
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

/** A device or module on a connection. */
export class Seat implements Carrier {
  readonly protocol = 'amqp'
  readonly id: IdentityId
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

  constructor(seats: Seats, id: IdentityId) {
    this.#seats = seats
    this.id = id
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
    return this.#seats.get(identityText(seat.id)) === seat
  }

  get all(): Iterable<Seat> {
    return this.#seats.values()
  }

  /** A device proves itself, for the first time or anew. Rejects with what it is to be told. */
  async prove(id: IdentityId, token: Buffer): Promise<void> {
    const text = identityText(id)
    // Awaits nothing where nothing is under way: of two tokens that came together both would enter, and one session be nobody's.
    for (let entering = this.#underWay.get(text); entering !== undefined; entering = this.#underWay.get(text))
      await entering.catch(() => {})
    const seat = this.#seats.get(text)
    if (seat === undefined) await this.#enter(id, [token])
    else {
      const { edge, transport } = this.connection
      const identified = await this.#identify(new Admission(edge, transport, this.#claim(id, token)))
      if (seat.isSeated) seat.session.renew(identified)
    }
    this.#keepToken(text, token)
  }

  /** Holds a token that speaks for many devices; it is judged with the first link of each. */
  holdPolicyToken(token: Buffer): void {
    this.#policyTokens = [token, ...this.#policyTokens].slice(0, limits.amqpPolicyTokensMax)
  }

  /** The seat of a device, which is let in if it was not yet. Rejects with what it is to be told. */
  take(id: IdentityId): Promise<Seat> {
    const text = identityText(id)
    const known = this.#seats.get(text)
    if (known !== undefined) return Promise.resolve(known)
    const underWay = this.#underWay.get(text)
    if (underWay !== undefined) return underWay
    const token = this.#tokens.get(text)
    const proofs = token === undefined ? [...this.#policyTokens, undefined] : [token]
    return this.#enter(id, proofs)
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
    this.#seats.delete(identityText(seat.id))
    seat.session.end(reason)
  }

  #keepToken(text: string, token: Buffer): void {
    this.#tokens.delete(text)
    this.#tokens.set(text, token)
    const [oldest] = this.#tokens.keys()
    if (this.#tokens.size > limits.amqpSessionsMax && oldest !== undefined) this.#tokens.delete(oldest)
  }

  /** @param proofs are tried one after the other */
  #enter(id: IdentityId, proofs: readonly (Buffer | undefined)[]): Promise<Seat> {
    const text = identityText(id)
    const entering = this.#enterWith(id, proofs).finally(() => this.#underWay.delete(text))
    this.#underWay.set(text, entering)
    return entering
  }

  async #enterWith(id: IdentityId, proofs: readonly (Buffer | undefined)[]): Promise<Seat> {
    let refused = new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    for (const proof of proofs) {
      const { edge, transport } = this.connection
      const admission = new Admission(edge, transport, this.#claim(id, proof))
      try {
        return this.#open(id, admission, await this.#identify(admission))
      } catch (error) {
        if (!(error instanceof PenstockError)) throw error
        refused = error
        if (error.code !== 'INGEST_NOT_AUTHORIZED') break
      }
    }
    throw refused
  }

  #claim(id: IdentityId, password: Buffer | undefined) {
    return { clientId: identityText(id), username: undefined, password, resumes: false }
  }

  /** Waits its turn, and is judged. */
  async #identify(admission: Admission): Promise<Principal> {
    const waitMs = admission.waitMs()
    if (waitMs > 0) await this.#turn(waitMs)
    if (this.connection.isOver) throw over()
    try {
      return await admission.identify()
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

  #open(id: IdentityId, admission: Admission, identified: Principal): Seat {
    if (this.connection.isOver) throw over()
    const { sessions, connectionsMax } = this.connection.edge
    const text = identityText(id)
    // Each device counts as a connection, however few carry them.
    if (sessions.size >= connectionsMax && !sessions.has(text))
      throw new PenstockError('INGEST_CONNECTIONS_FULL', `this edge holds its ${connectionsMax} devices`)
    // What is kept of a session of MQTT is of no use here: links are made anew with each connection.
    const principal = { ...identified, kept: undefined }
    const seat = new Seat(this, id)
    const session = admission.open(principal, seat)
    seat.begin(session)
    this.#seats.set(text, seat)
    session.hold(principal, text)
    this.connection.proven()
    return seat
  }
}

function over(): PenstockError {
  return new PenstockError('INGEST_DRAINING', 'the connection has ended')
}
