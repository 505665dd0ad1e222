import type { Meter } from '#ingest/quotas/quotas.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Delivery, Feed, Outcome } from './delivery.ts'
import type { EdgeContext } from './edge-context.ts'
import { type Identity, sessionIdOf } from './identity.ts'
import type { Carrier, Session } from './session.ts'

/**
 * A device or module that was let in.
 *
 *   let in: metered, watched ── hold ──▶ held: the one of its name, announced ── end ──▶ forgotten, told
 *                          └── end ──▶ forgotten
 */
export class DeviceSession implements Session {
  readonly carrier: Carrier
  readonly moduleId: string | undefined
  readonly meter: Meter
  openedAtMs = 0
  readonly #edge: EdgeContext
  readonly #expiresAtMs: number
  /** Ends the watch for its revocation. */
  readonly #endWatch: (() => void) | undefined
  #deviceId: string | undefined
  /** The name under which it is held; empty before. */
  #id = ''

  /** @throws INGEST_CONNECTION_RATE, INGEST_RATE_EXCEEDED while the device owes too much */
  constructor(edge: EdgeContext, identity: Identity, carrier: Carrier) {
    const { deviceId, moduleId, expiresAtMs = Number.POSITIVE_INFINITY } = identity
    assert(deviceId !== '' && moduleId !== '', 'who is let in has a name, or none yet')
    assert(moduleId === undefined || deviceId !== undefined, 'a module is of a device')
    assert(!Number.isNaN(expiresAtMs), 'credentials end at some moment, or never')
    this.carrier = carrier
    this.moduleId = moduleId
    this.meter = edge.quotas.openMeter(deviceId)
    this.#edge = edge
    this.#expiresAtMs = expiresAtMs
    this.#endWatch = identity.watch?.((error) => carrier.fail(error))
    this.#deviceId = deviceId
  }

  get deviceId(): string | undefined {
    return this.#deviceId
  }

  /** A client without an id takes the device of its first message (only where no identities are asked for). */
  adopt(deviceId: string): void {
    assert(this.#deviceId === undefined, 'a session that has a device keeps it [G-6]')
    this.#deviceId = deviceId
  }

  /**
   * Makes it the one session of its device or module at this edge process, and tells of it.
   * @param nameless what a client without an id is held under
   */
  hold(identity: Identity, nameless: string): void {
    assert(this.#id === '', 'a session is held once')
    const { sessions, clock, announce, onPresence } = this.#edge
    this.#id = sessionIdOf(identity) ?? nameless
    assert(this.#id !== '', 'a session is held under a name')
    this.openedAtMs = clock.monotonicMs()
    sessions.get(this.#id)?.takenOver()
    sessions.set(this.#id, this)
    if (this.#deviceId === undefined) return
    announce(this.#id, this.openedAtMs)
    onPresence(this.#deviceId, this.moduleId, true, 'CONNECTED')
  }

  isExpired(nowMs: number): boolean {
    return nowMs >= this.#expiresAtMs
  }

  listensTo(feed: Feed): boolean {
    return this.carrier.listensTo(feed)
  }

  send(delivery: Delivery): Promise<Outcome> {
    return this.carrier.send(delivery)
  }

  takenOver(): void {
    this.carrier.fail(new PenstockError('INGEST_TAKE_OVER', 'a newer connection of this client took over'))
  }

  /** Called once, when its carrier has ended. @param reason as `OnPresence` has it */
  end(reason: string): void {
    this.#endWatch?.()
    this.meter.close()
    const { sessions, capabilities, onPresence } = this.#edge
    capabilities.ended(this)
    if (sessions.get(this.#id) !== this) return
    sessions.delete(this.#id)
    if (this.#deviceId !== undefined) onPresence(this.#deviceId, this.moduleId, false, reason)
  }
}
