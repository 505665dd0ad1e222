/**
 * What is known of one endpoint, shared by its partitions, so that they don't all knock at a door that is shut.
 *
 *   unknown ──▶ healthy ◀────────────── an attempt is answered ──────────────┐
 *                  │ one fails                                                │
 *                  ▼                                                          │
 *              degraded ── for 10 s, or held ──▶ unhealthy ── for an hour ──▶ dead
 *              one attempt at a time, each after a pause: up to 1 s            up to 10 s      one a minute
 *
 * A refusal for what a message holds is an answer: the endpoint lives.
 */
import { assert } from '#runtime/assert.ts'
import { Change } from '#runtime/change.ts'
import type { Clock } from '#runtime/clock.ts'
import type { EndpointHealth, EndpointStatus } from '#schemas/endpoint-health.ts'
import type { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { EndpointError } from './endpoint-error.ts'

export interface CircuitOptions {
  /** The endpoint's. */
  readonly name: string
  readonly clock: Clock
  /** From 0 (inclusive) to 1; spreads attempts. */
  readonly random: () => number
  /** Told when the status is another one than before. */
  readonly onStatus?: (health: EndpointHealth) => void
}

/** A run of failures without an answer between them. */
interface Outage {
  readonly sinceMonotonicMs: number
  failures: number
  isHeld: boolean
  /** No attempt begins before. */
  nextMonotonicMs: number
}

export class Circuit {
  readonly #options: CircuitOptions
  readonly #change = new Change()
  #outage: Outage | undefined
  /** True while one attempt finds out whether the outage is over. */
  #probing = false
  #statusTold: EndpointStatus = 'unknown'
  #lastError: string | undefined
  #lastErrorAtMs: number | undefined
  #lastSuccessAtMs: number | undefined
  #lastAttemptAtMs: number | undefined

  constructor(options: CircuitOptions) {
    this.#options = options
  }

  /**
   * Runs `action` once an attempt may begin; it says how it went by `taken`, `refused` or `failed`.
   * @returns `undefined` if `ended` aborted before
   */
  async attempt<T>(ended: AbortSignal, action: () => Promise<T>): Promise<T | undefined> {
    const { clock } = this.#options
    while (this.#outage !== undefined && !ended.aborted) {
      const pauseMs = this.#outage.nextMonotonicMs - clock.monotonicMs()
      if (!this.#probing && pauseMs <= 0) return await this.#probe(action)
      await this.#change.wait(clock, ended, this.#probing ? undefined : pauseMs)
    }
    if (ended.aborted) return undefined
    this.#lastAttemptAtMs = clock.nowMs()
    return await action()
  }

  /** An attempt was taken. */
  taken(): void {
    this.#lastSuccessAtMs = this.#options.clock.nowMs()
    this.#answered()
  }

  /** An attempt was refused for what it held. */
  refused(error: PenstockError): void {
    this.#noteError(error)
    this.#answered()
  }

  /** An attempt failed, for a reason that lies with the endpoint or the way to it. */
  failed(error: PenstockError): void {
    const { clock } = this.#options
    const nowMs = clock.monotonicMs()
    assert(error.disposition !== 'fatal', `an endpoint that fails is waited for; ${error.code} is no such fault`)
    this.#noteError(error)
    this.#outage ??= { sinceMonotonicMs: nowMs, failures: 0, isHeld: false, nextMonotonicMs: nowMs }
    const outage = this.#outage
    outage.isHeld = error.code === 'ENDPOINT_HELD'
    // One that began before the outage says nothing new, so it makes no pause longer.
    if (nowMs >= outage.nextMonotonicMs) outage.nextMonotonicMs = nowMs + this.#pauseMs(outage)
    const askedMs = error instanceof EndpointError ? (error.retryAfterMs ?? 0) : 0
    const retryAfterMs = Math.min(askedMs, limits.endpointRetryAfterMsMax)
    outage.nextMonotonicMs = Math.max(outage.nextMonotonicMs, nowMs + retryAfterMs)
    this.#tell()
  }

  health(): EndpointHealth {
    return {
      endpointId: this.#options.name,
      healthStatus: this.#status(),
      lastKnownError: this.#lastError,
      lastKnownErrorAtMs: this.#lastErrorAtMs,
      lastSuccessfulSendAttemptAtMs: this.#lastSuccessAtMs,
      lastSendAttemptAtMs: this.#lastAttemptAtMs,
    }
  }

  async #probe<T>(action: () => Promise<T>): Promise<T> {
    assert(!this.#probing, 'one attempt at a time finds out whether an outage is over')
    this.#probing = true
    this.#lastAttemptAtMs = this.#options.clock.nowMs()
    try {
      return await action()
    } finally {
      this.#probing = false
      this.#change.happened()
    }
  }

  #answered(): void {
    this.#outage = undefined
    this.#change.happened()
    this.#tell()
  }

  #pauseMs(outage: Outage): number {
    const status = this.#status()
    if (status === 'dead') return limits.endpointDeadRetryMs
    const maxMs = status === 'degraded' ? limits.endpointRetryMsMax : limits.endpointUnhealthyRetryMsMax
    const pauseMs = Math.min(maxMs, limits.endpointRetryMsFirst * 2 ** Math.min(outage.failures++, 16))
    return pauseMs * (0.5 + this.#options.random() / 2)
  }

  #status(): EndpointStatus {
    const outage = this.#outage
    if (outage === undefined) return this.#lastAttemptAtMs === undefined ? 'unknown' : 'healthy'
    const forMs = this.#options.clock.monotonicMs() - outage.sinceMonotonicMs
    if (forMs >= limits.endpointDeadMsMin) return 'dead'
    return outage.isHeld || forMs >= limits.endpointUnhealthyMsMin ? 'unhealthy' : 'degraded'
  }

  #noteError(error: PenstockError): void {
    this.#lastError = error.message
    this.#lastErrorAtMs = this.#options.clock.nowMs()
  }

  #tell(): void {
    const health = this.health()
    if (health.healthStatus === this.#statusTold) return
    this.#statusTold = health.healthStatus
    this.#options.onStatus?.(health)
  }
}
