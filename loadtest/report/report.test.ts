import { expect, test } from 'vitest'
import { judge } from '#loadtest/result/judge.ts'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { thresholdsOf } from '#loadtest/result/slo.ts'
import { linearTicks, logTicks } from './chart.ts'
import { differences, earlierResultOf } from './comparison.ts'
import { reportOf } from './report.ts'
import { percentileCurve, storedRates } from './result-charts.ts'

test('the page needs nothing from elsewhere, and knows both themes', () => {
  const page = reportOf(fakeResult(), fakeResult())
  expect(/(src|href)=|url\(|@import|https?:/.exec(page)).toBeNull()
  expect(page).toContain('prefers-color-scheme:dark')
  expect(/NaN|undefined|Infinity/.exec(page.slice(0, page.indexOf('<script>')))).toBeNull()
})

test('it says how many messages reached each stage, and which were lost where', () => {
  expect(reportOf(fakeResult())).toMatch(/offered[\s\S]*sent[\s\S]*acknowledged[\s\S]*on the log[\s\S]*stored/)
  expect(reportOf(fakeResult())).toContain('stored exactly once')
  const faulty = reportOf(fakeResult(3))
  expect(faulty).toContain('load-r-000001: lost 5, 9…10')
  expect(faulty).toContain('3 fewer')
})

test('a run whose generator was the limit says so first', () => {
  const page = reportOf({ ...fakeResult(), verdict: 'invalid', validity: { isValid: false, reasons: ['too slow'] } })
  expect(page).toContain('The generator, or its machine, was the limit')
  expect(page).toContain('too slow')
})

test('missed thresholds are named with what was measured', () => {
  const result = fakeResult()
  const page = reportOf({ ...result, thresholds: judge(thresholdsOf('puback_max_ms=50,lost=0'), result) })
  expect(page).toContain('puback_max_ms is 80, asked for at most 50')
})

test('text of a target cannot become markup', () => {
  const result = fakeResult()
  const page = reportOf({ ...result, connections: { ...result.connections, lost: 1, lastFault: '<script>x</script>' } })
  expect(page).not.toContain('<script>x')
})

test('a result without observation, warehouse or acknowledgements still makes a page', () => {
  const result = fakeResult()
  const bare = { ...result, target: undefined, reconciliation: undefined, storedPerSecond: undefined, timeline: [] }
  expect(reportOf({ ...bare, latency: { ...result.latency, visible: undefined } })).toContain('Nothing was reconciled')
})

test('a comparison names what else was different; a file that is no result is refused', () => {
  const result = fakeResult()
  const other = {
    ...result,
    manifest: { ...result.manifest, cpuCount: 8, options: { ...result.manifest.options, rate: 5 } },
  }
  expect(differences(result, other)).toEqual(['machine', 'rate'])
  expect(earlierResultOf(JSON.stringify(result), 'x').verdict).toBe('passed')
  for (const part of ['manifest', 'latency', 'counts', 'timeline', 'validity', 'verdict', 'sentPerSecond'])
    expect(() => earlierResultOf(JSON.stringify({ ...result, [part]: {} }), 'x'), part).toThrow('not a load result')
  for (const text of ['{', '[]', '{"manifest":1}'])
    expect(() => earlierResultOf(text, 'x')).toThrow(expect.objectContaining({ code: 'LOADTEST_OPTIONS_INVALID' }))
})

test('axes begin and end on round values around all data', () => {
  expect(linearTicks(19, 5)).toEqual([0, 5, 10, 15, 20])
  expect(linearTicks(20, 5).at(-1)).toBeGreaterThanOrEqual(20)
  for (const values of [[0.3, 7], [5, 5], [1, 99_000], []]) {
    const ticks = logTicks(values)
    expect(ticks.length).toBeGreaterThanOrEqual(2)
    if (values.length > 0) {
      expect(ticks[0]).toBeLessThanOrEqual(Math.min(...values))
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(Math.max(...values))
    }
  }
})

test('the percentile curve rises from the smallest to the largest value', () => {
  const curve = percentileCurve(fakeResult().latency.acknowledged)
  expect(curve[0]?.y).toBeCloseTo(1.234, 1)
  expect(curve.at(-1)?.y).toBeGreaterThan(1.2)
  expect(curve.every(({ y }, index) => index === 0 || y >= (curve[index - 1]?.y ?? 0))).toBe(true)
})

test('stored rates are differences over time', () => {
  expect(
    storedRates([
      { atS: 1, rows: 0 },
      { atS: 3, rows: 100 },
      { atS: 3, rows: 100 },
    ]),
  ).toEqual([{ x: 3, y: 50 }])
})
