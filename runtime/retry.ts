/**
 * The one way in which something is tried again:
 *
 *   attempt ── succeeds ──▶ its result
 *      ▲  └── fails ──▶ may another attempt help? ── no, or `until` has aborted ──▶ its fault is thrown
 *      │                     │ yes
 *      └──── pause, growing ─┘
 */
import { isPenstockError } from '#schemas/errors.ts'
import { type Clock, sleep } from './clock.ts'

/** How the pauses between attempts grow. Each has a name, at one place. */
export interface BackOff {
  readonly firstMs: number
  /** Each pause is so much longer than the one before; 1: all are the same. */
  readonly factor: number
  readonly maxMs: number
  /** The part of each pause that is left to chance, so that not all come back at once: 0 none of it, 1 all of it. */
  readonly jitter: number
}

/**
 * The pause after so many failures before the last one; it never exceeds `maxMs`.
 * @param failures from 0 @param random from 0 up to 1
 */
export function pauseMs({ firstMs, factor, maxMs, jitter }: BackOff, failures: number, random = Math.random): number {
  return Math.min(maxMs, firstMs * factor ** failures) * (1 - jitter * random())
}

/** The pauses of something that has no loop: each is longer than the one before, until it went well. */
export class Pauses {
  readonly #backOff: BackOff
  #failures = 0

  constructor(backOff: BackOff) {
    this.#backOff = backOff
  }

  nextMs(): number {
    return pauseMs(this.#backOff, this.#failures++)
  }

  reset(): void {
    this.#failures = 0
  }
}

export interface Retried {
  /** From 1. */
  readonly failures: number
  /** Until the next attempt. */
  readonly pauseMs: number
}

export interface RetryOptions {
  readonly backOff: BackOff
  readonly clock: Clock
  /** No attempt begins once it has aborted, but the first. A pause ends at once then, and the last fault is thrown. */
  readonly until?: AbortSignal | undefined
  /** Whether another attempt may help; by default: it is an expected fault whose disposition is `retry`. @param failures from 1 */
  readonly isRetryable?: (error: unknown, failures: number) => boolean
  /** Called before each pause; what it throws is thrown. */
  readonly onRetry?: (error: unknown, retried: Retried) => void
  readonly random?: () => number
}

/**
 * Tries until it succeeds.
 * @param attempt is given the number of failures before it
 * @throws the fault of the last attempt
 */
export async function retry<T>(attempt: (failures: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { backOff, clock, until, isRetryable = isTransient, onRetry, random } = options
  for (let failures = 0; ; ) {
    try {
      return await attempt(failures)
    } catch (error) {
      if (until?.aborted || !isRetryable(error, failures + 1)) throw error
      const delayMs = pauseMs(backOff, failures, random)
      failures++
      onRetry?.(error, { failures, pauseMs: delayMs })
      await sleep(clock, delayMs, until)
      if (until?.aborted) throw error
    }
  }
}

/** An expected fault that may pass by itself. */
export function isTransient(error: unknown): boolean {
  return isPenstockError(error) && error.disposition === 'retry'
}
