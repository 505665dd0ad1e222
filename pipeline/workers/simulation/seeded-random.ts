/** Numbers that a seed decides (mulberry32): the same seed gives the same run. */
export interface SeededRandom {
  /** From 0 (inclusive) to 1. */
  next(): number
  /** True with probability `share`. */
  chance(share: number): boolean
  /** An integer from `min` to `max`, both included. */
  integer(min: number, max: number): number
}

export function seededRandom(seed: number): SeededRandom {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return {
    next,
    chance: (share) => next() < share,
    integer: (min, max) => min + Math.floor(next() * (max - min + 1)),
  }
}
