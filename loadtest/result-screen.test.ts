import { expect, test } from 'vitest'
import { fakeResult } from './load-result.fake.ts'
import { screenOf } from './result-screen.ts'

test('a faulty run says so, with the device and its missing numbers', () => {
  const text = screenOf(fakeResult(3))
  expect(text).toContain('FAULTY   lost 3')
  expect(text).toContain('load-r-000001: lost 5, 9…10')
  expect(text).toContain('warning       generator process 0 was late')
})

test('a clean run fits a screen of 100 columns and 24 lines', () => {
  const text = screenOf(fakeResult(0))
  expect(text).toContain('OK   lost 0')
  expect(text.split('\n').length).toBeLessThanOrEqual(24)
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
})
