import { expect, test } from 'vitest'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { reportOf } from './report.ts'
import { screenOf } from './result-screen.ts'

test('a faulty run says so, with the device and its missing numbers', () => {
  const text = screenOf(fakeResult(3))
  expect(text).toContain('FAULTY   lost 3')
  expect(text).toContain('load-r-000001: lost 5, 9…10')
  expect(text).toContain('warning       generator process 0 was late')
})

test('over HTTP a result says what was asked for, and that nothing was offered whatever the target did', () => {
  const result = fakeResult()
  const options = { ...result.manifest.options, url: 'http://h:1' }
  const http = { ...result, manifest: { ...result.manifest, options, workloads: [options] } }
  expect(screenOf(http)).toContain('HTTP  48 B  asked for 10,000/s, closed-loop')
  expect(screenOf(http)).not.toContain('offered')
  expect(reportOf(http)).toContain('asked for 10,000/s, closed-loop')
  expect(reportOf(http)).not.toContain('offered')
  expect(screenOf(result)).toContain('10,000/s offered')
})

test('connects that were late are told, on the screen and in the report', () => {
  const result = fakeResult()
  const late = { ...result, connections: { ...result.connections, connectedLate: 7 } }
  expect(screenOf(late)).toContain('0 refused, 7 connected late')
  expect(reportOf(late)).toContain('7 of them later than --connect-rate asked')
})

test('a clean run fits a screen of 100 columns and 24 lines', () => {
  const text = screenOf(fakeResult(0))
  expect(text).toContain('OK   lost 0')
  expect(text.split('\n').length).toBeLessThanOrEqual(24)
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
})

test('agents are named with their machines and clocks, on the screen and in the report', () => {
  const result = fakeResult()
  const { manifest } = result
  const clock = { start: { offsetMs: -2_000, uncertaintyMs: 1.25 }, end: { offsetMs: -1_997.5, uncertaintyMs: 1 } }
  const agents = [{ name: 'far:7700', machine: { ...manifest, host: 'far-away', cpu: 'another CPU' }, clock }]
  const generators = result.generators.map((each) => ({ ...each, agent: 'far:7700' }))
  const distributed = { ...result, generators, manifest: { ...manifest, agents } }
  const text = 'clock -2000.0 ms off (± 1.3 ms), moved by 2.5 ms'
  expect(screenOf(distributed)).toContain(`agent         far:7700 on far-away, ${text}`)
  const report = reportOf(distributed)
  for (const part of [text, 'far-away, 2 × another CPU', 'generator 0 <span class="muted">far:7700</span>'])
    expect(report).toContain(part)
})
