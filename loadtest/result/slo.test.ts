import { expect, test } from 'vitest'
import { judge } from './judge.ts'
import { fakeExchange, fakeResult } from './load-result.fake.ts'
import { thresholdNames, thresholdsOf } from './slo.ts'

test('latencies and losses are bounded from above, rates from below', () => {
  expect(thresholdsOf(' puback_p99_ms=50, stored_per_s=1e4 ,lost=0')).toEqual([
    { name: 'puback_p99_ms', limit: 50, bound: 'most' },
    { name: 'stored_per_s', limit: 10_000, bound: 'least' },
    { name: 'lost', limit: 0, bound: 'most' },
  ])
  expect(thresholdsOf('')).toEqual([])
})

test('all faults are named at once', () => {
  expect(() => thresholdsOf('speed=5,lost=,lost=0,lost=1,puback_p50_ms=-3,puback_p99_ms=1=2')).toThrow(
    expect.objectContaining({
      code: 'LOADTEST_OPTIONS_INVALID',
      message: expect.stringMatching(
        /speed=5[\s\S]*lost=[\s\S]*lost is given twice[\s\S]*puback_p50_ms=-3[\s\S]*puback_p99_ms=1=2/,
      ),
    }),
  )
})

test('a threshold at exactly the measured value is met, just beyond it is missed', () => {
  const result = fakeResult(3)
  const verdicts = judge(thresholdsOf('lost=3,acknowledged_per_s=1000,late_mean_ms=0,puback_max_ms=80'), result)
  expect(verdicts.map(({ isMet }) => isMet)).toEqual([true, true, false, true])
  expect(judge(thresholdsOf('lost=2,acknowledged_per_s=1001'), result).some(({ isMet }) => isMet)).toBe(false)
})

test('what was not measured is missed, whatever the limit', () => {
  const result = { ...fakeResult(), reconciliation: undefined, storedPerSecond: undefined }
  expect(judge(thresholdsOf('lost=9,stored_per_s=0'), result)).toMatchObject([
    { value: undefined, isMet: false },
    { value: undefined, isMet: false },
  ])
})

test('messages that are nowhere miss the run, unless a threshold allows them', () => {
  const result = fakeResult()
  const nowhere = { ...result.reconciliation, unacknowledgedMissing: 5 } as typeof result.reconciliation
  expect(judge([], { ...result, reconciliation: nowhere })).toEqual([
    { name: 'missing', bound: 'most', limit: 0, value: 5, isMet: false },
  ])
  expect(judge(thresholdsOf('missing=5'), { ...result, reconciliation: nowhere })).toMatchObject([{ isMet: true }])
  expect(judge([], result)).toEqual([])
})

test('without a warehouse, what was never acknowledged is missing; at QoS 0 nothing tells', () => {
  const result = { ...fakeResult(), reconciliation: undefined }
  const silent = { ...result, counts: { ...result.counts, atEnd: { ...result.counts.atEnd, settled: 400 } } }
  expect(judge([], silent)).toMatchObject([{ name: 'missing', value: 600, isMet: false }])
  const workloads = silent.manifest.workloads.map((each) => ({ ...each, qos: 0 as const }))
  expect(judge([], { ...silent, manifest: { ...silent.manifest, workloads } })).toEqual([])
})

test('every name is measured by a full result', () => {
  const all = thresholdNames.map((name) => `${name}=1`).join(',')
  const exchanges = (['reported', 'desired', 'methods', 'commands'] as const).map((kind) => fakeExchange(kind))
  const full = { ...fakeResult(), exchanges }
  for (const { name, value } of judge(thresholdsOf(all), full)) expect(value, name).toEqual(expect.any(Number))
})

test('what is lost, backwards, twice, refused or missing counts, of whatever kind it is', () => {
  const wrong = { lost: 1, backwards: 2, twice: 3, refused: 4, missing: 5 }
  const exchanges = [fakeExchange('commands', wrong), fakeExchange('methods')]
  const names = thresholdsOf('lost=0,out_of_order=0,repeated=0,refused=0,missing=0')
  const values = (result: Parameters<typeof judge>[1]) => judge(names, result).map(({ value }) => value)
  expect(values({ ...fakeResult(3), exchanges })).toEqual([4, 2, 3, 4, 5])
  // Nothing is known of rows without a warehouse, and nothing is to be known where there was no telemetry.
  expect(values({ ...fakeResult(), exchanges, reconciliation: undefined }).slice(0, 3)).toEqual(
    Array(3).fill(undefined),
  )
  const alone = { ...fakeResult(), exchanges, reconciliation: undefined, workloads: [] }
  expect(values(alone)).toEqual([1, 2, 3, 4, 5])
  expect(exchanges.map(({ isClean }) => isClean)).toEqual([false, true])
})
