/** Random numbers by a seed: the same seed gives the same run. Its functions do not need `this`. Not for secrets. */
export interface SeededRandom {
  /** From 0 (inclusive) to 1. */
  next(this: void): number
  /** A whole number from 0 to below `bound`. */
  below(this: void, bound: number): number
  /** A whole number from `min` to `max`, both possible. */
  integer(this: void, min: number, max: number): number
  /** True with probability `share`. */
  chance(this: void, share: number): boolean
}

/** Mulberry32. Tests that choose their seed at random print it. */
export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (bound: number) => Math.floor(next() * bound)
  return {
    next,
    below,
    integer: (min, max) => min + below(max - min + 1),
    chance: (share) => next() < share,
  }
}
