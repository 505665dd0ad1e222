import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import { SpaceSaving } from './space-saving.ts'

const seed = Number(process.env.SEED ?? 1)

interface Counted {
  readonly key: string
  readonly weight: number
  readonly error: number
}

/** The same without a heap: the lightest is looked for. Only where no two weights are equal. */
class PlainSketch {
  readonly kept: Counted[] = []
  readonly #keysMax: number

  constructor(keysMax: number) {
    this.#keysMax = keysMax
  }

  add(key: string, weight: number): void {
    const known = this.kept.find((each) => each.key === key)
    if (known) this.#replace(known, { ...known, weight: known.weight + weight })
    else if (this.kept.length < this.#keysMax) this.kept.push({ key, weight, error: 0 })
    else {
      const lightest = this.kept.reduce((one, other) => (other.weight < one.weight ? other : one))
      this.#replace(lightest, { key, weight: lightest.weight + weight, error: lightest.weight })
    }
  }

  #replace(before: Counted, after: Counted): void {
    this.kept[this.kept.indexOf(before)] = after
  }
}

describe(`the heaviest of a stream in bounded memory, seed ${seed}`, () => {
  test('the key that leaves is the lightest, whatever came before', () => {
    const random = seededRandom(seed)
    for (const keysMax of [1, 2, 3, 7, 16]) {
      const sketch = new SpaceSaving(keysMax)
      const plain = new PlainSketch(keysMax)
      for (let step = 0; step < 2_000; step++) {
        const key = `k${random.below(2 * keysMax + 2)}`
        const weight = random.next()
        sketch.add(key, weight)
        plain.add(key, weight)
        expect(sketch.heaviest(keysMax)).toEqual(plain.kept.toSorted((one, other) => other.weight - one.weight))
        expect(sketch.size).toBe(plain.kept.length)
      }
    }
  })

  test('a key is as heavy as what it is told to be, less its error at least', () => {
    const random = seededRandom(seed)
    const sketch = new SpaceSaving(8)
    const truth = new Map<string, number>()
    let total = 0
    for (let step = 0; step < 5_000; step++) {
      const key = `k${Math.min(random.below(40), random.below(40))}`
      const weight = 1 + random.below(9)
      sketch.add(key, weight)
      truth.set(key, (truth.get(key) ?? 0) + weight)
      total += weight
    }
    const kept = sketch.heaviest(8)
    expect(kept.reduce((sum, { weight }) => sum + weight, 0)).toBe(total)
    for (const { key, weight, error } of kept) {
      expect(truth.get(key)).toBeLessThanOrEqual(weight)
      expect(truth.get(key)).toBeGreaterThanOrEqual(weight - error)
    }
    for (const [key, weight] of truth) if (weight > total / 8) expect(kept.map((each) => each.key)).toContain(key)
  })
})
