import { expect, test } from 'vitest'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { searchRate } from './search.ts'

test.each([1, 999, 1_000, 1_001, 37_123, 900_000])(
  'the search ends within 5 %% of a bound of %i, never above it',
  async (bound) => {
    const tried: number[] = []
    const { best } = await searchRate({ firstRate: 1_000, precision: 0.05, stepsMax: 40 }, async (rate) => {
      tried.push(rate)
      return { ...fakeResult(), verdict: rate <= bound ? ('passed' as const) : ('failed' as const) }
    })
    expect(best?.rate).toBeLessThanOrEqual(bound)
    expect(best?.rate).toBeGreaterThanOrEqual(Math.floor(bound * 0.9))
    expect(new Set(tried).size).toBe(tried.length)
  },
)

test('an invalid run ends the search upwards; where nothing holds there is no best; a stop ends it', async () => {
  const search = (verdict: (rate: number) => 'passed' | 'failed' | 'invalid', signal?: AbortSignal) =>
    searchRate(
      { firstRate: 100, precision: 0.05, stepsMax: 40 },
      async (rate) => ({ ...fakeResult(), verdict: verdict(rate) }),
      signal,
    )
  expect((await search((rate) => (rate <= 150 ? 'passed' : 'invalid'))).best?.rate).toBeLessThanOrEqual(150)
  expect((await search(() => 'failed')).best).toBeUndefined()
  expect((await search(() => 'passed', AbortSignal.abort())).steps).toEqual([])
})
