import { expect, test } from 'vitest'
import { itemsMax, ratesOf, Seen } from './seen.ts'
import type { Report } from './tail.ts'

const message = {
  device: 'd',
  at: 0,
  body: '1',
  encoding: 'utf8' as const,
  bytes: 1,
  properties: {},
  system: {},
  partition: 0,
  offset: 0,
}
const report = (at: number, shown: number, matched = shown, seen = matched, skipped = 0): Report => ({
  at,
  messages: Array.from({ length: shown }, () => message),
  matched,
  seen,
  skipped,
  stored: undefined,
})

test('a page that was cut off says for how long nothing was received', () => {
  let nowMs = 1_000
  const seen = new Seen(() => nowMs)
  seen.take(report(0, 1), true)
  seen.state = 'lost'
  nowMs += 12_000
  seen.take(report(0, 1), true)
  expect(seen.state).toBe('live')
  expect(seen.items.map((item) => ('gapMs' in item ? item.gapMs : item.device))).toEqual(['d', 12_000, 'd'])
})

test('a tail that says nothing is stalled, and live once it speaks', () => {
  let nowMs = 1_000
  const seen = new Seen(() => nowMs)
  seen.take(report(0, 0), true)
  nowMs += 5_001
  seen.look()
  expect(seen.state).toBe('stalled')
  seen.take(report(0, 0), true)
  expect(seen.state).toBe('live')
})

test('a page keeps the last messages, and while it is paused what it had', () => {
  const seen = new Seen(() => 1_000)
  seen.take(report(0, itemsMax + 50), true)
  expect(seen.items).toHaveLength(itemsMax)
  const [newest] = seen.items
  seen.take(report(0, 5), false)
  expect(seen.items[0]).toBe(newest)
})

test('rates count what nobody looked at, and say of how many one is shown', () => {
  const second = (at: number) => report(at, 100, 500, 1_000, 9_000)
  expect(ratesOf([second(0), second(1_000)])).toEqual({
    perSecond: 20_000,
    matchedPerSecond: 10_000,
    shownPerSecond: 200,
    oneIn: 50,
  })
  expect(ratesOf([])).toMatchObject({ perSecond: 0, oneIn: 1 })
})
