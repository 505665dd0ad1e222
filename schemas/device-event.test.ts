import { describe, expect, test } from 'vitest'
import { EventSequence } from './device-event.ts'

describe('event sequence', () => {
  test('grows as text, within a millisecond, when the clock is set back, and over a restart', () => {
    const sequence = new EventSequence()
    const nowMs = 1_790_000_000_000
    const numbers = [nowMs, nowMs, nowMs, nowMs - 5_000, nowMs + 1].map((atMs) => sequence.next(atMs))
    numbers.push(new EventSequence().next(nowMs + 10))
    expect([...numbers].sort()).toEqual(numbers)
    expect(new Set(numbers).size).toBe(numbers.length)
    expect(numbers.every((text) => /^[0-9a-f]{16}$/.test(text))).toBe(true)
  })

  test('stays exact until the year 2248', () => {
    expect(Number.isSafeInteger(Date.UTC(2248, 0) * 1_024)).toBe(true)
  })
})
