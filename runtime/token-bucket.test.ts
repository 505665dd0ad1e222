import { describe, expect, test } from 'vitest'
import { TokenBucket } from './token-bucket.ts'

describe('token bucket', () => {
  test('holds its burst, may owe, and says exactly when nothing is owed any more', () => {
    const bucket = new TokenBucket(10, 20, 0)
    expect(bucket.take(20, 0)).toBe(0)
    expect(bucket.take(5, 0)).toBe(500)
    expect(bucket.waitMs(499)).toBeGreaterThan(0)
    expect(bucket.waitMs(500)).toBe(0)
  })

  test('over any time it gives no more than its rate and one burst', () => {
    const bucket = new TokenBucket(100, 100, 0)
    let nowMs = 0
    let taken = 0
    for (let step = 0; step < 1_000; step++) {
      taken += 7
      nowMs += bucket.take(7, nowMs)
    }
    expect(taken).toBeLessThanOrEqual((nowMs / 1000) * 100 + 100)
    expect(taken).toBeGreaterThanOrEqual((nowMs / 1000) * 100)
  })

  test('a clock that is set back gives nothing away and takes nothing', () => {
    const bucket = new TokenBucket(10, 10, 10_000)
    bucket.take(10, 10_000)
    expect(bucket.missingMs(1, 0)).toBe(100)
    expect(bucket.missingMs(1, 100)).toBe(0)
  })

  test('what was not taken for long is not saved beyond the burst', () => {
    const quietMs = 3_600_000
    const bucket = new TokenBucket(10, 20, 0)
    bucket.take(20, 0)
    expect(bucket.missingMs(20, quietMs)).toBe(0)
    expect(bucket.missingMs(21, quietMs)).toBe(100)
    expect(bucket.take(30, quietMs)).toBe(1_000)
  })

  test('asking takes nothing', () => {
    const bucket = new TokenBucket(1, 1, 0)
    expect(bucket.missingMs(1, 0)).toBe(0)
    expect(bucket.isFull(0)).toBe(true)
    bucket.take(1, 0)
    expect(bucket.isFull(999)).toBe(false)
    expect(bucket.isFull(1000)).toBe(true)
  })
})
