import { expect, test } from 'vitest'
import { bytesText, countedText, durationText, momentText, shortened, zoneText } from './format.ts'

test.each([
  [0, '0 ms'],
  [0.412, '0.412 ms'],
  [999.4, '999 ms'],
  [999.6, '1 s'],
  [12_340, '12.3 s'],
  [59_949, '59.9 s'],
  [59_960, '1 min'],
  [119_800, '2 min'],
  [200_000, '3 min 20 s'],
  [3_599_900, '1 h'],
  [5_430_000, '1 h 31 min'],
  [86_399_000, '1 d'],
  [604_800_000, '7 d'],
  [612_000_000, '7 d 2 h'],
  [315_360_000_000, '3,650 d'],
])('%d ms are written as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text)
})

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [999_600, '1 MB'],
  [1_234_567, '1.23 MB'],
  [2e17, '200 PB'],
])('%d bytes are written as %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text)
})

test('what is cut says so, and not within a character', () => {
  expect(shortened('abc', 3)).toBe('abc')
  expect(shortened('abcd', 3)).toBe('abc…')
  expect(shortened('ab🔥c', 3)).toBe('ab…')
})

test('one is not many', () => {
  expect([0, 1, 2_000].map((count) => countedText(count, 'row'))).toEqual(['0 rows', '1 row', '2,000 rows'])
})

test('moments are of the reader, with the zone that they are written in', () => {
  const date = new Date(2026, 0, 31, 4, 5, 6)
  expect(momentText(date.getTime())).toBe('2026-01-31 04:05:06')
  expect(zoneText({ getTimezoneOffset: () => 0 } as Date)).toBe('UTC')
  expect(zoneText({ getTimezoneOffset: () => -330 } as Date)).toBe('UTC+05:30')
  expect(zoneText({ getTimezoneOffset: () => 210 } as Date)).toBe('UTC−03:30')
})
