/**
 * Sessions over HTTP. Requests of a user that name the same session share a connection of the engine. So they share temporary tables, SET
 * and USE.
 *
 *   take ──▶ busy ──── give ───▶ idle ── its timeout, or close_session ─▶ gone
 *            take: 373           take ──▶ busy
 *
 * A client may send its next request as soon as it has its answer, a moment before the session is given back. That request waits.
 */
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { EngineConnection } from './engine.ts'
import { EngineError } from './engine-error.ts'

export interface SessionRequest {
  readonly id: string
  readonly timeoutMs: number
  /** The request is refused unless the session exists. */
  readonly mustExist: boolean
  /** The session ends with this request. */
  readonly isLast: boolean
}

export interface Session {
  /** Created by the first statement that needs it, and closed with the session. */
  connection: EngineConnection | undefined
}

interface OpenSession extends Session {
  readonly key: string
  /** The request that uses the session, or used it last. */
  request: SessionRequest
  isAnswered: () => boolean
  busy: boolean
  readonly waiting: (() => void)[]
  cancelTimeout: () => void
}

/** An idle connection takes 0.2 MB. */
export const sessionsMax = 1_000

export class Sessions {
  readonly #clock: Clock
  readonly #open = new Map<string, OpenSession>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * The session, for one request at a time.
   * @param isAnswered true once the client has its answer: its next request then waits only for us
   * @returns the session and what gives it back, to be called once
   * @throws EngineError SESSION_NOT_FOUND, SESSION_IS_LOCKED, TOO_MANY_SIMULTANEOUS_QUERIES
   */
  async take(
    user: string,
    request: SessionRequest,
    isAnswered: () => boolean,
  ): Promise<{ readonly session: Session; readonly give: () => void }> {
    const key = JSON.stringify([user, request.id])
    let session = this.#open.get(key)
    for (; session?.busy; session = this.#open.get(key)) {
      const { waiting } = session
      if (!session.isAnswered())
        throw new EngineError(373, 'SESSION_IS_LOCKED', `Session ${request.id} is locked by a concurrent client`)
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    if (!session && request.mustExist)
      throw new EngineError(372, 'SESSION_NOT_FOUND', `Session ${request.id} not found`)
    if (!session && this.#open.size >= sessionsMax)
      throw new EngineError(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', `There are ${sessionsMax} sessions already`)
    session ??= { key, request, isAnswered, busy: true, connection: undefined, waiting: [], cancelTimeout: () => {} }
    this.#open.set(key, session)
    session.cancelTimeout()
    const taken = Object.assign(session, { request, isAnswered, busy: true })
    return { session: taken, give: () => this.#give(taken) }
  }

  /** Ends all sessions; none may be busy. */
  close(): void {
    for (const session of this.#open.values()) {
      assert(!session.busy, 'no session is busy when all end')
      this.#end(session)
    }
  }

  #give(session: OpenSession): void {
    assert(session.busy, 'a session is given back once')
    session.busy = false
    if (session.request.isLast) this.#end(session)
    else session.cancelTimeout = this.#clock.after(session.request.timeoutMs, () => this.#end(session))
    for (const wake of session.waiting.splice(0)) wake()
  }

  #end(session: OpenSession): void {
    session.cancelTimeout()
    this.#open.delete(session.key)
    session.connection?.close()
  }
}
