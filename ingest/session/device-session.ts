import type { Meter } from '#ingest/quotas/quotas.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type Delivery, type Feed, feeds, type Outcome } from './delivery.ts'
import type { EdgeContext } from './edge-context.ts'
import { type KeptIdentity, type Principal, type Registrant, sessionIdOf } from './principal.ts'
import type { Carrier, Session } from './session.ts'
import { noSubscriptions, type Qos, qosIn, type Subscriptions, withFeed, withoutFeed } from './subscriptions.ts'

/**
 * A device or module that was let in.
 *
 *   let in: metered, watched ── hold ──▶ held: the one of its name, announced ── end ──▶ forgotten, told
 *                          └── end ──▶ forgotten
 */
export class DeviceSession implements Session {
  readonly carrier: Carrier
  readonly moduleId: string | undefined
  readonly modelId: string | undefined
  readonly registrant: Registrant | undefined
  readonly meter: Meter
  openedAtMs = 0
  readonly #edge: EdgeContext
  #expiresAtMs: number
  /** Ends the watch for its revocation. */
  #endWatch: (() => void) | undefined
  #deviceId: string | undefined
  /** The name under which it is held; empty before. */
  #id = ''
  #subscriptions: Subscriptions = noSubscriptions
  #isEnded = false
  readonly #kept: KeptIdentity | undefined
  /** 0: its subscriptions end with the connection; `undefined`: never. */
  #keptSeconds: number | undefined = 0

  /** @throws INGEST_CONNECTION_RATE, INGEST_RATE_EXCEEDED while the device owes too much */
  constructor(edge: EdgeContext, principal: Principal, carrier: Carrier, modelId: string | undefined) {
    const { deviceId, moduleId, registrant, expiresAtMs = Number.POSITIVE_INFINITY } = principal
    assert(deviceId !== '' && moduleId !== '', 'who is let in has a name, or none yet')
    assert(moduleId === undefined || deviceId !== undefined, 'a module is of a device')
    assert(registrant === undefined || deviceId === undefined, 'who registers is no device')
    assert(!Number.isNaN(expiresAtMs), 'credentials end at some moment, or never')
    this.carrier = carrier
    this.moduleId = moduleId
    this.registrant = registrant
    this.meter = edge.quotas.openMeter(deviceId)
    this.#edge = edge
    this.#expiresAtMs = expiresAtMs
    this.#kept = principal.kept
    this.#endWatch = principal.watch?.((error) => carrier.fail(error))
    this.#deviceId = deviceId
    this.modelId = modelId
  }

  get deviceId(): string | undefined {
    return this.#deviceId
  }

  /** A client without an id takes the device of its first message (only where no identities are asked for). */
  adopt(deviceId: string): void {
    assert(this.#deviceId === undefined && this.registrant === undefined, 'a session that has a device keeps it [G-6]')
    this.#deviceId = deviceId
  }

  /**
   * Makes it the one session of its device or module at this edge process, and tells of it.
   * @param nameless what a client without an id is held under
   */
  hold(principal: Principal, nameless: string): void {
    assert(this.#id === '', 'a session is held once')
    assert(!this.#isEnded, 'who has ended is not held: nobody would tell that it is gone')
    const { sessions, clock, announce, onPresence } = this.#edge
    this.#id = sessionIdOf(principal) ?? nameless
    assert(this.#id !== '', 'a session is held under a name')
    this.openedAtMs = clock.monotonicMs()
    sessions.get(this.#id)?.takenOver()
    assert(!sessions.has(this.#id), 'who is taken over has ended before the newer connection begins')
    sessions.set(this.#id, this)
    if (this.#deviceId === undefined) return
    announce(this.#id, this.openedAtMs)
    onPresence(this.#deviceId, this.moduleId, true, 'CONNECTED', this.modelId)
  }

  /** It proved itself anew, on the same connection. */
  renew(principal: Principal): void {
    const { expiresAtMs = Number.POSITIVE_INFINITY, watch } = principal
    assert(!this.#isEnded, 'who has ended is not watched anew: nobody would end the watch')
    assert(sessionIdOf(principal) === this.#id, 'who proves itself anew is who was let in [G-6]')
    this.#endWatch?.()
    this.#expiresAtMs = expiresAtMs
    this.#endWatch = watch?.((error) => this.carrier.fail(error))
  }

  isExpired(nowMs: number): boolean {
    return nowMs >= this.#expiresAtMs
  }

  /** True if subscriptions of an earlier connection go on. */
  get isResumed(): boolean {
    return this.#kept !== undefined && (this.#kept.subscriptions ?? noSubscriptions) !== noSubscriptions
  }

  /** False: its subscriptions end with its connection, whatever the client asks for. */
  get isKept(): boolean {
    return this.#kept !== undefined
  }

  /**
   * Begins to listen to what was kept, once the client knows that it is let in. Where that is not known yet it begins later.
   * @param resumes false: the client begins anew, and nothing that was kept counts
   * @param keptSeconds after the connection ended; `undefined`: for ever
   */
  beginKept(resumes: boolean, keptSeconds: number | undefined): void {
    const kept = this.#kept
    if (kept === undefined) return
    this.#keptSeconds = keptSeconds
    if (!resumes) kept.keep(noSubscriptions, undefined)
    else if (kept.subscriptions === undefined) kept.onLate((subscriptions) => this.#listenAgain(subscriptions))
    else this.#listenAgain(kept.subscriptions)
  }

  /** How long subscriptions are kept after the connection ends. */
  keepFor(keptSeconds: number | undefined): void {
    this.#keptSeconds = keptSeconds
    this.#keep()
  }

  listensTo(feed: Feed): boolean {
    return this.qosOf(feed) !== undefined
  }

  /** With which it listens; `undefined`: it does not. */
  qosOf(feed: Feed): Qos | undefined {
    return qosIn(this.#subscriptions, feed)
  }

  /** It listens from here on; a second time changes the QoS. */
  subscribe(feed: Feed, qos: Qos): void {
    assert(this.#deviceId !== undefined || this.registrant !== undefined, 'who listens has a name')
    this.#listen(feed, qos)
    this.#keep()
  }

  /** @returns false if it did not listen */
  unsubscribe(feed: Feed): boolean {
    if (!this.listensTo(feed)) return false
    this.#subscriptions = withoutFeed(this.#subscriptions, feed)
    this.#keep()
    this.#edge.capabilities.unsubscribed(this, feed)
    return true
  }

  send(delivery: Delivery): Promise<Outcome> {
    return this.listensTo(delivery.feed) ? this.carrier.send(delivery) : Promise.resolve('notSubscribed')
  }

  takenOver(): void {
    this.carrier.fail(new PenstockError('INGEST_TAKE_OVER', 'a newer connection of this client took over'))
  }

  /** Called once, when its carrier has ended. @param reason as `OnPresence` has it */
  end(reason: string): void {
    assert(!this.#isEnded, 'a session ends once')
    this.#isEnded = true
    this.#endWatch?.()
    this.#kept?.end()
    this.meter.close()
    const { sessions, capabilities, onPresence } = this.#edge
    capabilities.ended(this)
    if (sessions.get(this.#id) !== this) return
    sessions.delete(this.#id)
    if (this.#deviceId !== undefined) onPresence(this.#deviceId, this.moduleId, false, reason, this.modelId)
  }

  /** What the client says for itself goes before what was kept. */
  #listenAgain(subscriptions: Subscriptions): void {
    for (const feed of feeds) {
      const qos = qosIn(subscriptions, feed)
      if (qos !== undefined && !this.listensTo(feed)) this.#listen(feed, qos)
    }
    if (this.#subscriptions !== subscriptions) this.#keep()
  }

  #listen(feed: Feed, qos: Qos): void {
    assert(!this.#isEnded, 'who has ended listens to nothing more: capabilities would never forget it')
    this.#subscriptions = withFeed(this.#subscriptions, feed, qos)
    this.#edge.capabilities.subscribed(this, feed)
  }

  #keep(): void {
    const seconds = this.#keptSeconds
    this.#kept?.keep(seconds === 0 ? noSubscriptions : this.#subscriptions, seconds)
  }
}
