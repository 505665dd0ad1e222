/**
 * How far an agent's clock is from this machine's, as NTP asks: the answer was given somewhere between question and answer, most
 * likely half-way, and is off by at most half the round trip however unequal the two ways are.
 *
 *   here    asked ────────────── round trip ──────────────▶ answered        offset = agent's time − (asked + round trip / 2)
 *   agent            ╲─▶ its time ─╱
 */
export interface ClockReading {
  /** The agent's UTC minus this machine's. */
  readonly offsetMs: number
  /** The true offset is at most so far from `offsetMs`. */
  readonly uncertaintyMs: number
}

/** An agent's clock before the first message and after the last. */
export interface ClockComparison {
  readonly start: ClockReading
  readonly end: ClockReading
}

export interface OwnClock {
  /** UTC in whole milliseconds, as the agent tells it, too. */
  nowMs(): number
  monotonicMs(): number
}

/** A reading in whole milliseconds is up to so much too early. Both clocks' are, so the offset's mean is not moved by it. */
const tickMs = 1
/** The quickest of so many round trips counts: it waited least in queues. */
const roundTripsAsked = 16

/** @param ask resolves with the agent's UTC in whole milliseconds */
export async function readClock(ask: () => Promise<number>, own: OwnClock): Promise<ClockReading> {
  let best: ClockReading | undefined
  for (let asked = 0; asked < roundTripsAsked; asked++) {
    const askedAtMs = own.nowMs()
    const beganMs = own.monotonicMs()
    const agentAtMs = await ask()
    const halfMs = (own.monotonicMs() - beganMs) / 2
    const reading = { offsetMs: agentAtMs - askedAtMs - halfMs, uncertaintyMs: halfMs + tickMs }
    if (best === undefined || reading.uncertaintyMs < best.uncertaintyMs) best = reading
  }
  return best as ClockReading
}

/** How far the offset moved during the run. */
export function driftMsOf({ start, end }: ClockComparison): number {
  return Math.abs(end.offsetMs - start.offsetMs)
}

/** For people: the offset at the start, how well it is known, and how far it moved. */
export function clockText(clock: ClockComparison): string {
  const { offsetMs, uncertaintyMs } = clock.start
  return `clock ${offsetMs.toFixed(1)} ms off (± ${uncertaintyMs.toFixed(1)} ms), moved by ${driftMsOf(clock).toFixed(1)} ms`
}
