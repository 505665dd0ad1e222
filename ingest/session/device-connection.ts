/** A connection that carries one device, and says at its beginning which: what it is decided on, charged with and ended for is that one's. */
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Admission } from './admission.ts'
import { Connection } from './connection.ts'
import type { Delivery, Outcome } from './delivery.ts'
import type { DeviceSession } from './device-session.ts'
import { faultOf } from './fault.ts'
import type { Principal } from './principal.ts'
import type { Carrier } from './session.ts'

export abstract class DeviceConnection extends Connection implements Carrier {
  abstract readonly protocol: Carrier['protocol']
  /** Set from the moment it is let in. */
  protected session: DeviceSession | undefined = undefined

  /** Reads what came while it was decided on, and was kept. */
  protected abstract readKept(): void

  /** A protocol in which devices cannot subscribe leaves this as it is. */
  send(_delivery: Delivery): Promise<Outcome> {
    return Promise.resolve('notSubscribed')
  }

  protected charge(messages: number, bytes: number): number {
    return this.session === undefined ? 0 : this.session.meter.charge(messages, bytes, this.edge.batcher.nowMs)
  }

  protected lookAfterSessions(nowMs: number): void {
    if (this.session?.isExpired(nowMs))
      this.fail(new PenstockError('INGEST_NOT_AUTHORIZED', 'the credentials of this connection have expired'))
    else this.session?.meter.report()
  }

  protected endSessions(reason: string): void {
    this.session?.end(reason)
  }

  /**
   * Decides on a client that said who it is, at once if nothing has to wait.
   * @param accept lets it in, and ends with `open`
   * @throws PenstockError, which ends the connection
   */
  protected decide(admission: Admission, accept: (principal: Principal) => void): void {
    assert(this.state === 'waiting', 'a connection is decided on once')
    this.state = 'deciding'
    this.edge.waiting.delete(this)
    const waitMs = admission.waitMs()
    if (waitMs === 0) this.#identify(admission, accept, false)
    else this.waitForQuota(waitMs, () => this.#identify(admission, accept, true))
  }

  /** @param held true if the transport stands still, and what came behind waits */
  #identify(admission: Admission, accept: (principal: Principal) => void, held: boolean): void {
    let principal: Principal | Promise<Principal>
    try {
      principal = admission.identify()
    } catch (error) {
      throw admission.refusal(error)
    }
    if (!(principal instanceof Promise)) {
      if (held) this.#acceptLater(principal, accept)
      else accept(principal)
      return
    }
    this.transport.pause()
    principal.then(
      (decided) => this.#acceptLater(decided, accept),
      (error) => {
        if (!this.isClosed()) this.fail(admission.refusal(error))
      },
    )
  }

  #acceptLater(principal: Principal, accept: (principal: Principal) => void): void {
    if (this.isClosed()) return
    try {
      accept(principal)
      const isDeciding = this.state === 'deciding'
      assert(!isDeciding, 'who was decided on is let in, or has ended: in between nothing would be read again')
    } catch (error) {
      this.fail(faultOf(error))
      return
    }
    this.readKept()
    this.resumeIfFree()
  }
}
