import { describe, expect, test } from 'vitest'
import { virtualClock } from '#runtime/virtual-clock.ts'
import { limits } from '#schemas/limits.ts'
import { Noisiest } from './noisiest.ts'
import { SpaceSaving } from './space-saving.ts'

describe('space-saving sketch', () => {
  test('keeps every key that is heavier than its share, within its error, whatever else passes', () => {
    const sketch = new SpaceSaving(16)
    const truth = new Map<string, number>()
    let total = 0
    const add = (key: string, weight: number) => {
      sketch.add(key, weight)
      truth.set(key, (truth.get(key) ?? 0) + weight)
      total += weight
    }
    for (let round = 0; round < 5_000; round++) {
      add(`rare-${round % 1_500}`, 1)
      if (round % 4 === 0) add('loud', 3)
      if (round % 5 === 0) add('louder', 5)
    }
    const kept = sketch.heaviest(16)
    expect(sketch.size).toBe(16)
    expect(kept.slice(0, 2).map(({ key }) => key)).toEqual(['louder', 'loud'])
    for (const [key, weight] of truth) {
      const entry = kept.find((other) => other.key === key)
      if (weight > total / 16) expect(entry, key).toBeDefined()
      if (entry) {
        expect(entry.weight).toBeGreaterThanOrEqual(weight)
        expect(entry.weight - entry.error).toBeLessThanOrEqual(weight)
      }
    }
  })

  test('fewer keys than it keeps are counted exactly', () => {
    const sketch = new SpaceSaving(4)
    for (const [key, weight] of [
      ['a', 1],
      ['b', 5],
      ['a', 3],
      ['c', 2],
    ] as const)
      sketch.add(key, weight)
    expect(sketch.heaviest(2)).toEqual([
      { key: 'b', weight: 5, error: 0 },
      { key: 'a', weight: 4, error: 0 },
    ])
  })
})

describe('noisiest devices', () => {
  function turned(clock: ReturnType<typeof virtualClock>, ms: number): void {
    clock.after(ms, () => {})
    clock.step()
  }

  test('the last whole minute is told, and forgotten after the next', () => {
    const clock = virtualClock(1_000_000)
    const noisiest = new Noisiest(clock)
    noisiest.add('a', 10, 100)
    noisiest.add('b', 1, 5_000)
    expect(noisiest.report(1).byMessages).toEqual([{ deviceId: 'a', amount: 10, error: 0 }])
    turned(clock, 60_000)
    noisiest.add('c', 99, 99_999)
    expect(noisiest.report(1).byBytes).toEqual([{ deviceId: 'b', amount: 5_000, error: 0 }])
    turned(clock, 60_000)
    expect(noisiest.report(9).byMessages.map(({ deviceId }) => deviceId)).toEqual(['c'])
    turned(clock, 300_000)
    expect(noisiest.report(9).byMessages).toEqual([])
  })

  test('memory is bounded however many devices send', () => {
    const noisiest = new Noisiest(virtualClock(0))
    for (let device = 0; device < 20_000; device++) noisiest.add(`d${device}`, 1, 10)
    expect(noisiest.report(10_000).byMessages).toHaveLength(limits.noisyDevicesKept)
  })
})
