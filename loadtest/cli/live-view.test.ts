import { expect, test } from 'vitest'
import { fakeResult } from '#loadtest/result/load-result.fake.ts'
import { LiveScreen, liveLines, sparkline } from './live-view.ts'

const { timeline } = fakeResult()
const view = { point: timeline[1], progress: { offered: 900, sent: 800, settled: 700, open: 5 }, observer: undefined }

test('a sparkline spans nothing to the highest value, and shows the last ones', () => {
  expect(sparkline([9, 0, 5, 10], 3)).toBe('▁▅█')
  expect(sparkline([0, 0], 3)).toBe('▁▁')
})

test('a moment says rates, percentiles, what is in flight and behind, within 100 columns', () => {
  const lines = liveLines(timeline, view)
  expect(lines.join('\n')).toMatch(/5 connections[\s\S]*100 in flight[\s\S]*100 behind[\s\S]*520\/s[\s\S]*p99/)
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(100)
})

test('a terminal is drawn over, a log gets plain lines every few seconds only', () => {
  const outputOf = (isTTY: boolean) => {
    let text = ''
    const screen = new LiveScreen({ isTTY, write: (more: string) => (text += more) })
    for (let atS = 0.5; atS <= 12; atS += 0.5) screen.show({ ...view, point: { ...timeline[1], atS } as never })
    screen.clear()
    return text
  }
  expect(outputOf(true)).toContain('\x1b[4A')
  expect(outputOf(true).endsWith('\x1b[J')).toBe(true)
  expect(outputOf(false)).not.toContain('\x1b')
  expect(outputOf(false).split('\n').length).toBe(3)
})
