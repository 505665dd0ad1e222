import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { logRows } from './log-rows.ts'
import { metricRows } from './metric-rows.ts'

const long = 'x'.repeat(500_000)
const resource = { attributes: [{ key: 'k', value: { stringValue: long } }] }

describe('what a request of OTLP says for many is made into text once [G-4]', () => {
  test('a long resource, whose scopes are as many as fit beside it, without anything in them', () => {
    const empty = Array.from({ length: 250_000 }, () => ({}))
    expect(logRows({ resourceLogs: [{ resource, scopeLogs: empty }] }).rows.messages).toEqual([])
    expect(metricRows({ resourceMetrics: [{ resource, scopeMetrics: empty }] }).rows.messages).toEqual([])
  })

  test.each([
    ['name', { name: long }],
    ['unit', { name: 'm', unit: long }],
  ])('a long %s of points that are refused', (_, metric) => {
    const dataPoints = Array.from({ length: limits.httpMessagesMax }, () => ({}))
    const { refusedCount } = metricRows({
      resourceMetrics: [{ scopeMetrics: [{ metrics: [{ ...metric, gauge: { dataPoints } }] }] }],
    })
    expect(refusedCount).toBe(limits.httpMessagesMax)
  })
})
