/**
 * Checks passwords. People choose these passwords, so guessing must be slow. But whoever knows a password must get in, even beside somebody
 * who guesses at the same address.
 *
 *   attempt ─▶ network failed too often? ─▶ waits for its turn among those of its network ─▶ checked
 *              (not on a connection that proved the same user before)   too many wait: come back later
 *
 * So each wrong password takes a turn, whether its sender waits for the answer or not, and the rate of turns is bounded.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Socket } from 'node:net'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { networkOf } from '#runtime/network-of.ts'
import { limits } from '#schemas/limits.ts'
import { EngineError } from './engine-error.ts'

/** The peer of a request; the object is the same for all requests of a connection. */
export type PasswordPeer = Pick<Socket, 'remoteAddress'>

interface Network {
  /** Each failure moves this moment on. While it is more than a minute ahead, there were too many failures. */
  failedUntilMs: number
  nextTurnAtMs: number
}

const minuteMs = 60_000

export class PasswordGate {
  readonly #passwords: ReadonlyMap<string, string>
  readonly #clock: Clock
  readonly #logger: Logger
  /** Networks that failed, in the order of their last failure; at most `failureEntriesMax`. */
  readonly #networks = new Map<string, Network>()
  /** The user that each connection has proven. */
  readonly #proven = new WeakMap<PasswordPeer, string>()
  #minute = 0
  #told = 0

  /** @param passwords by user; a user with an empty password needs none */
  constructor(passwords: ReadonlyMap<string, string>, clock: Clock, logger: Logger) {
    this.#passwords = passwords
    this.#clock = clock
    this.#logger = logger
  }

  /** True if it is the user's password. @throws EngineError TOO_MANY_SIMULTANEOUS_QUERIES if too many attempts wait */
  async admits(peer: PasswordPeer, user: string, password: string): Promise<boolean> {
    const network = networkOf(peer.remoteAddress ?? '')
    const isOpen = password === '' && this.#passwords.get(user) === ''
    if (!isOpen && this.#proven.get(peer) !== user) await this.#turn(network)
    if (isSame(this.#passwords.get(user), password)) {
      this.#proven.set(peer, user)
      return true
    }
    this.#proven.delete(peer)
    this.#failed(network, user)
    return false
  }

  async #turn(name: string): Promise<void> {
    const network = this.#networks.get(name)
    const nowMs = this.#clock.nowMs()
    if (network === undefined || network.failedUntilMs - nowMs <= minuteMs) return
    const turnAtMs = Math.max(nowMs, network.nextTurnAtMs)
    if (turnAtMs - nowMs > limits.passwordWaitMsMax)
      throw new EngineError(
        202,
        'TOO_MANY_SIMULTANEOUS_QUERIES',
        'Too many wrong passwords came from this address, and too many attempts wait; try again later',
      )
    network.nextTurnAtMs = turnAtMs + limits.passwordTurnMs
    if (turnAtMs > nowMs) await sleep(this.#clock, turnAtMs - nowMs)
  }

  #failed(name: string, user: string): void {
    const nowMs = this.#clock.nowMs()
    const network = this.#networks.get(name) ?? { failedUntilMs: 0, nextTurnAtMs: 0 }
    const oneMs = minuteMs / limits.passwordFailuresPerMinute
    // Attempts that run at once may all fail. The network is slowed for one of them beyond the limit, not for all.
    network.failedUntilMs = Math.min(Math.max(nowMs, network.failedUntilMs), nowMs + minuteMs) + oneMs
    this.#networks.delete(name)
    this.#networks.set(name, network)
    const [oldest] = this.#networks.keys()
    if (this.#networks.size > limits.failureEntriesMax && oldest !== undefined) this.#networks.delete(oldest)
    this.#tell(name, user, nowMs)
  }

  /** Logs the first failures of each minute only, so that somebody who guesses does not fill the log. */
  #tell(from: string, user: string, nowMs: number): void {
    const minute = Math.floor(nowMs / minuteMs)
    if (minute !== this.#minute) {
      if (this.#told > limits.refusalsToldPerMinute)
        this.#logger.warn('more wrong passwords were sent', { count: this.#told - limits.refusalsToldPerMinute })
      this.#minute = minute
      this.#told = 0
    }
    this.#told++
    if (this.#told > limits.refusalsToldPerMinute) return
    this.#logger.warn('a wrong password was sent', { from, user: this.#passwords.has(user) ? user : undefined })
  }
}

/** Compares digests, so that neither length nor content shows in the time taken. */
function isSame(expected: string | undefined, password: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(expected ?? ''), digest(password)) && expected !== undefined
}
