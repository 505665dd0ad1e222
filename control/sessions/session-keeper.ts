/**
 * Kept sessions of the devices of one edge process: look-ups and changes are gathered, one statement at a time.
 *
 *   connects ─▶ asked ─▶ found                              what waits to be written counts as found
 *                 └── no answer in time: the device is let in ─▶ asked again until there is one ─▶ told late
 *   subscribes ─▶ written, again and again until the store has it
 *
 * So devices connect while the store is away, as with their credentials, and listen again as soon as it is back.
 */
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { EdgeSessions, KeptSession, KeptSessions } from './sessions.ts'

interface Asked {
  readonly id: IdentityId
  readonly found: (subscriptions: number) => void
  readonly onLate: (subscriptions: number) => void
}

export class SessionKeeper implements EdgeSessions {
  readonly #store: KeptSessions
  readonly #clock: Clock
  readonly #logger: Logger
  /** The newest of each device, oldest first. */
  readonly #unwritten = new Map<string, KeptSession>()
  readonly #asked = new Map<string, Asked>()
  readonly #closed = new AbortController()
  #running: Promise<void> | undefined

  constructor(store: KeptSessions, clock: Clock, logger: Logger) {
    this.#store = store
    this.#clock = clock
    this.#logger = logger
  }

  lookup(id: IdentityId, onLate: (subscriptions: number) => void): Promise<number | undefined> {
    const text = identityText(id)
    const unwritten = this.#unwritten.get(text)
    if (unwritten !== undefined) return Promise.resolve(unwritten.subscriptions)
    return new Promise((resolve) => {
      let isLate = false
      const cancel = this.#clock.after(limits.sessionLookupMsMax, () => {
        isLate = true
        resolve(undefined)
      })
      const found = (subscriptions: number): void => {
        cancel()
        if (isLate) onLate(subscriptions)
        else resolve(subscriptions)
      }
      this.#asked.set(text, { id, found, onLate })
      this.#running ??= this.#run()
    })
  }

  forget(id: IdentityId, onLate: (subscriptions: number) => void): void {
    const text = identityText(id)
    if (this.#asked.get(text)?.onLate === onLate) this.#asked.delete(text)
  }

  keep(session: KeptSession): void {
    const text = identityText(session)
    this.#unwritten.delete(text)
    this.#unwritten.set(text, session)
    if (this.#unwritten.size > limits.sessionsUnwrittenMax) {
      const [oldest] = this.#unwritten.keys()
      if (oldest !== undefined) this.#unwritten.delete(oldest)
    }
    this.#running ??= this.#run()
  }

  /** Writes what is not written yet, once. */
  async close(): Promise<void> {
    this.#closed.abort()
    await this.#running
    await this.#write().catch(() => {})
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    // What comes in one turn goes together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#asked.size + this.#unwritten.size > 0 && !signal.aborted) {
      try {
        await this.#ask()
        await this.#write()
      } catch (error) {
        this.#logger.warn('sessions that are kept can be neither read nor written; trying again', { error })
        await sleep(this.#clock, limits.sessionRetryMs, signal)
      }
    }
    this.#running = undefined
  }

  async #ask(): Promise<void> {
    const batch = [...this.#asked].slice(0, limits.sessionsAtOnceMax)
    if (batch.length === 0) return
    const kept = await this.#store.sessions(batch.map(([, { id }]) => id))
    const subscriptions = new Map(kept.map((session) => [identityText(session), session.subscriptions]))
    for (const [text, asked] of batch) {
      // It may have been forgotten, or asked anew, meanwhile.
      if (this.#asked.get(text) !== asked) continue
      this.#asked.delete(text)
      asked.found(subscriptions.get(text) ?? 0)
    }
  }

  async #write(): Promise<void> {
    const batch = [...this.#unwritten].slice(0, limits.sessionsAtOnceMax)
    if (batch.length === 0) return
    await this.#store.keepSessions(batch.map(([, session]) => session))
    for (const [text, session] of batch) if (this.#unwritten.get(text) === session) this.#unwritten.delete(text)
  }
}
