import { describe, expect, test } from 'vitest'
import { FailureLimits } from './failure-limits.ts'

describe('failed attempts', () => {
  test('an address is refused once its budget is gone, and let in again as it refills', () => {
    const failures = new FailureLimits({ address: 3, deviceAtAddress: 0 }, 100)
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(failures.waitMs('10.0.0.1', `d${attempt}`, 0)).toBe(0)
      failures.failed('10.0.0.1', `d${attempt}`, 0)
    }
    expect(failures.waitMs('10.0.0.1', 'd9', 0)).toBe(20_000)
    expect(failures.waitMs('10.0.0.1', 'd9', 20_000)).toBe(0)
    expect(failures.waitMs('10.0.0.2', 'd9', 0)).toBe(0)
  })

  test('nobody shuts a device out: failing in its name from elsewhere does not touch it', () => {
    const failures = new FailureLimits({ address: 0, deviceAtAddress: 2 }, 100)
    for (let attempt = 0; attempt < 50; attempt++) failures.failed('203.0.113.9', 'victim', 0)
    expect(failures.waitMs('203.0.113.9', 'victim', 0)).toBeGreaterThan(0)
    expect(failures.waitMs('10.0.0.1', 'victim', 0)).toBe(0)
    expect(failures.waitMs('203.0.113.9', 'other', 0)).toBe(0)
  })

  test('attempts under way together cannot push the wait beyond one refill', () => {
    const failures = new FailureLimits({ address: 60, deviceAtAddress: 0 }, 100)
    for (let attempt = 0; attempt < 10_000; attempt++) failures.failed('a', 'd', 0)
    expect(failures.waitMs('a', 'd', 0)).toBe(1_000)
  })

  test('the tables are bounded: the oldest entry gives way', () => {
    const failures = new FailureLimits({ address: 1, deviceAtAddress: 1 }, 10)
    for (let host = 0; host < 1_000; host++) failures.failed(`10.1.${host >> 8}.${host & 255}`, 'd', 0)
    expect(failures.size).toBe(20)
    expect(failures.waitMs('10.1.3.231', 'd', 0)).toBeGreaterThan(0)
  })

  test('look-ups of a network that fails take turns of its own; what would wait too long takes none', () => {
    const failures = new FailureLimits({ address: 1, deviceAtAddress: 0 }, 10)
    const waits = (address: string, nowMs: number) => failures.lookupWaitMs(address, 2, 1_000, nowMs)
    // Two at once, then one each half second; since a bucket may owe, the third is the first that owes.
    expect(Array.from({ length: 7 }, () => waits('10.0.0.1', 0))).toEqual([0, 0, 0, 500, 1_000, 1_500, 1_500])
    expect(waits('10.0.0.2', 0)).toBe(0)
    expect(waits('10.0.0.1', 1_000)).toBe(500)
  })
})
