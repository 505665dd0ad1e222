/**
 * When messages are to be sent, and by whom: pure functions of the options, so that the intended moment of every message is known
 * whatever the target and the generator do.
 *
 *   rate      a chain of segments, each linear in time; message n is due where the integral of the rate reaches n
 *   turns     a repeating order of devices; each turn sends one burst. Even: 0, 1, 2, … Skewed: device d has ~ 1/(d+1)^s of all turns,
 *             spread evenly over the order, so the hot device is always hot rather than hot in one block
 */
import type { RateSegment } from '#loadtest/options/load-options.ts'

interface PlacedSegment extends RateSegment {
  readonly beginS: number
  /** Messages due before it. */
  readonly before: number
  readonly count: number
}

/** An integral is a sum of fractions; the last message of a segment must not fall to a rounding error. */
const countTolerance = 1e-6

export class RateSchedule {
  readonly seconds: number
  /** Messages of the whole schedule. */
  readonly total: number
  readonly #segments: PlacedSegment[] = []
  /** Of a schedule with one rate only, which needs no search. */
  readonly #steady: number | undefined

  /** @param factor applied to every rate: the share of one generator process */
  constructor(segments: readonly RateSegment[], factor: number) {
    let beginS = 0
    let before = 0
    for (const { seconds, from, to } of segments) {
      const count = ((from + to) / 2) * factor * seconds
      this.#segments.push({ seconds, from: from * factor, to: to * factor, beginS, before, count })
      beginS += seconds
      before += count
    }
    this.seconds = beginS
    this.total = before
    const [only] = this.#segments
    this.#steady = this.#segments.length === 1 && only?.from === only?.to ? only?.from : undefined
  }

  /**
   * Messages due by a moment: those whose `secondsOf` has come. The first is due at the first moment, not one interval later.
   * @param atS seconds from the first moment
   */
  dueAt(atS: number): number {
    const all = Math.ceil(this.total - countTolerance)
    const count = Math.min(all, Math.floor(this.integralAt(atS) + countTolerance) + 1)
    // Before a rate that begins at zero, or in a pause, the integral has reached a message that is due only at its end.
    return count > 0 && this.secondsOf(count - 1) > atS + countTolerance ? count - 1 : count
  }

  /** The integral of the rate up to a moment. */
  integralAt(atS: number): number {
    const s = Math.min(atS, this.seconds)
    const segment = this.#segments.findLast(({ beginS }) => beginS <= s)
    if (!segment) return 0
    const inside = s - segment.beginS
    const slope = (segment.to - segment.from) / segment.seconds
    return segment.before + segment.from * inside + (slope * inside * inside) / 2
  }

  /** HOT: paid per message. When message `number` (from 0) is due, in seconds from the first moment. */
  secondsOf(number: number): number {
    if (this.#steady !== undefined) return number / this.#steady
    let segment = this.#segments[0]
    for (const next of this.#segments) if (next.before <= number && next.count > 0) segment = next
    if (!segment) return 0
    const inside = number - segment.before
    const slope = (segment.to - segment.from) / segment.seconds
    if (slope === 0) return segment.beginS + inside / segment.from
    // The root of from·t + slope·t²/2 = inside, in the form that is exact for small slopes.
    const root = Math.sqrt(Math.max(0, segment.from * segment.from + 2 * slope * inside))
    return segment.beginS + (2 * inside) / (segment.from + root || 1)
  }
}

/** Turns of one period of a skewed order, at least so many a device: the coldest still come. */
const turnsPerDevice = 4

/** Multiples of it, without their whole part, spread evenly whatever their number: devices with few turns don't come all at once. */
const goldenRatio = (Math.sqrt(5) - 1) / 2

export class TurnOrder {
  readonly #count: number
  /** Device of each turn of a period, and of each device its turns; undefined if even. */
  readonly #skewed: { readonly order: Uint32Array; readonly turns: readonly (readonly number[])[] } | undefined

  /** @param weights share of turns of each device, in any unit; undefined: even */
  constructor(count: number, weights?: readonly number[]) {
    this.#count = count
    this.#skewed = weights && skewedOrder(weights)
  }

  /** Device whose turn it is, from 0. */
  deviceOf(turn: number): number {
    const skewed = this.#skewed
    return skewed ? (skewed.order[turn % skewed.order.length] as number) : turn % this.#count
  }

  /** HOT: the number of a device's k-th turn (from 0) among all turns. */
  turnOf(device: number, k: number): number {
    const skewed = this.#skewed
    if (!skewed) return k * this.#count + device
    const own = skewed.turns[device] as readonly number[]
    return Math.floor(k / own.length) * skewed.order.length + (own[k % own.length] as number)
  }
}

/** Weights of Zipf's law for devices with these ranks (from 0). */
export function zipfWeights(ranks: readonly number[], exponent: number): number[] {
  return ranks.map((rank) => 1 / (rank + 1) ** exponent)
}

function skewedOrder(weights: readonly number[]): { order: Uint32Array; turns: number[][] } {
  const sum = weights.reduce((total, weight) => total + weight, 0)
  const period = weights.length * turnsPerDevice
  const places: { device: number; at: number }[] = []
  for (const [device, weight] of weights.entries()) {
    const turns = Math.max(1, Math.round((weight / sum) * period))
    const phase = (device * goldenRatio) % 1
    for (let turn = 0; turn < turns; turn++) places.push({ device, at: (turn + phase) / turns })
  }
  places.sort((a, b) => a.at - b.at || a.device - b.device)
  const turns: number[][] = weights.map(() => [])
  for (const [turn, { device }] of places.entries()) turns[device]?.push(turn)
  return { order: Uint32Array.from(places, ({ device }) => device), turns }
}
