import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { tickMs } from './edge-context.ts'

/** Ticks counted at once, at most: a timer that is a little late. */
const atOnceMax = 3

/**
 * Counts ticks by the monotonic clock. Of the time in which the process stood still, as all of a machine may, it counts no more than
 * a moment: nobody was listened to, so nobody was silent.
 * @returns stops it
 */
export function startTicks(clock: Clock, onTicks: (ticks: number) => void): () => void {
  let countedAtMs = clock.monotonicMs()
  let cancel = clock.after(tickMs, look)
  function look(): void {
    const ticks = Math.floor((clock.monotonicMs() - countedAtMs) / tickMs)
    assert(ticks >= 0, 'the monotonic clock never goes back')
    countedAtMs += ticks * tickMs
    onTicks(Math.min(ticks, atOnceMax))
    cancel = clock.after(tickMs, look)
  }
  return () => cancel()
}
