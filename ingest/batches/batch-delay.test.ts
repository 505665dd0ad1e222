import { describe, expect, test } from 'vitest'
import { BatchDelay } from './batch-delay.ts'

/** Half a second in which `writes` writes acknowledged `messages` each; the wait that follows. */
function half(delay: BatchDelay, at: { ms: number }, writes: number, messages: number): number {
  for (let i = 0; i < writes; i++) delay.acknowledged(messages)
  at.ms += 500
  return delay.next(at.ms)
}

describe('the wait of a batch', () => {
  const start = { ms: 1_000_000 }

  test('is the base while acknowledgements are few, however many messages each has', () => {
    const delay = new BatchDelay(10)
    const at = { ...start }
    expect(delay.next(at.ms)).toBe(10)
    expect([1, 2, 3].map(() => half(delay, at, 9_500, 50))).toEqual([10, 10, 10])
  })

  test('grows to five times the base while there are many, and stays while one write acknowledges several messages', () => {
    const delay = new BatchDelay(10)
    const at = { ...start }
    delay.next(at.ms)
    // 1,000 devices with 50 messages a second each.
    expect(half(delay, at, 25_000, 1)).toBe(50)
    expect(half(delay, at, 10_000, 2.5)).toBe(50)
    expect(half(delay, at, 10_000, 2.5)).toBe(50)
  })

  test('goes back, and stays so for a while, where a write still acknowledges one message', () => {
    const delay = new BatchDelay(10)
    const at = { ...start }
    delay.next(at.ms)
    // 10,000 devices with 5 messages a second each.
    expect(half(delay, at, 25_000, 1)).toBe(50)
    expect(half(delay, at, 22_500, 1.11)).toBe(10)
    expect(half(delay, at, 25_000, 1)).toBe(10)
    at.ms += 30_000
    delay.next(at.ms)
    expect(half(delay, at, 25_000, 1)).toBe(50)
  })

  test('goes back where devices send less, since they wait for acknowledgements', () => {
    const delay = new BatchDelay(10)
    const at = { ...start }
    delay.next(at.ms)
    expect(half(delay, at, 25_000, 20)).toBe(50)
    expect(half(delay, at, 15_000, 20)).toBe(10)
  })

  test('goes back with a load that ends, and grows again with the next', () => {
    const delay = new BatchDelay(10)
    const at = { ...start }
    delay.next(at.ms)
    expect(half(delay, at, 12_500, 2)).toBe(50)
    expect(half(delay, at, 12_500, 2)).toBe(50)
    expect(half(delay, at, 10, 1)).toBe(10)
    expect(half(delay, at, 25_000, 1)).toBe(50)
  })

  test('is none where the base is none', () => {
    const delay = new BatchDelay(0)
    const at = { ...start }
    delay.next(at.ms)
    expect([1, 2].map(() => half(delay, at, 45_000, 1))).toEqual([0, 0])
  })

  test('survives a clock that is set back', () => {
    const delay = new BatchDelay(10)
    expect(delay.next(1_000)).toBe(10)
    expect(delay.next(10)).toBe(10)
    expect(half(delay, { ms: 10 }, 25_000, 1)).toBe(50)
  })
})
