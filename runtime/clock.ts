/** The time that all code here uses, so that tests and simulations can advance it by hand. */
export interface Clock {
  /** UTC, milliseconds since 1970. May jump when the machine's clock is set. */
  nowMs(): number
  /**
   * Milliseconds since the machine started, the same in all its processes. It never jumps, so differences are durations. It may stand
   * still while the machine sleeps.
   */
  monotonicMs(): number
  /** Calls `action` once after `delayMs`; the result cancels it. */
  after(delayMs: number, action: () => void): () => void
}

/** The machine's clock and timers. A waiting timer keeps the process alive. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`, or at once when `signal` aborts. Never rejects. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      cancel()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const cancel = clock.after(delayMs, end)
    signal?.addEventListener('abort', end)
  })
}
