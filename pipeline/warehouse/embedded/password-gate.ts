/**
 * Who may state what user it is. People choose these passwords, so that guessing has to be slow; and whoever knows one must get in beside
 * one who guesses at the same address.
 *
 *   attempt ─▶ network failed too often? ─▶ waits for its turn among those of its network ─▶ looked at
 *              (not on a connection that proved the same user before)   too many wait: come back later
 *
 * A wrong password is thus worth a turn, whether its sender waits for the answer or not, and turns have a rate.
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
  /** Each failure moves it on; failures are too many while it is more than a minute ahead. */
  failedUntilMs: number
  nextTurnAtMs: number
}

const minuteMs = 60_000

export class PasswordGate {
  readonly #passwords: ReadonlyMap<string, string>
  readonly #clock: Clock
  readonly #logger: Logger
  /** Those that failed, by the last failure; bound: `failureEntriesMax`. */
  readonly #networks = new Map<string, Network>()
  /** Users that connections have proven. */
  readonly #proven = new WeakMap<PasswordPeer, string>()
  #minute = 0
  #told = 0

  /** @param passwords of each user; an empty one is nothing to guess */
  constructor(passwords: ReadonlyMap<string, string>, clock: Clock, logger: Logger) {
    this.#passwords = passwords
    this.#clock = clock
    this.#logger = logger
  }

  /** True if it is the user's password. @throws EngineError TOO_MANY_SIMULTANEOUS_QUERIES if too many wait to be looked at */
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
    // Those under way together may all fail; the network is slowed for one of them beyond the limit, not for all.
    network.failedUntilMs = Math.min(Math.max(nowMs, network.failedUntilMs), nowMs + minuteMs) + oneMs
    this.#networks.delete(name)
    this.#networks.set(name, network)
    const [oldest] = this.#networks.keys()
    if (this.#networks.size > limits.failureEntriesMax && oldest !== undefined) this.#networks.delete(oldest)
    this.#tell(name, user, nowMs)
  }

  /** The first of each minute, so that a guesser does not fill the log. */
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
