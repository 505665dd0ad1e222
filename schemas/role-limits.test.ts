import { expect, test } from 'vitest'
import { limitText, roleLimitsFrom } from './role-limits.ts'

test('limits of a role are read with their units, in any order', () => {
  expect(roleLimitsFrom('', 'X')).toEqual({})
  expect(roleLimitsFrom('queries=4, memory=2GB seconds=30\nrows-read=1000 rows-result=7', 'X')).toEqual({
    ...{ queries: 4, memory: 2e9, seconds: 30, rowsRead: 1000, rowsResult: 7 },
  })
  expect(limitText('rowsRead', 5)).toBe('rows-read=5')
})

test.each([
  'seconds',
  'seconds=',
  'seconds=0',
  'seconds=-1',
  'seconds=3s',
  'second=3',
  'memory=1TB',
  'memory=1e9',
  'toString=1',
])('%s is refused with what is allowed', (text) => {
  expect(() => roleLimitsFrom(text, 'PENSTOCK_X')).toThrow(
    expect.objectContaining({ code: 'SETTINGS_INVALID', message: expect.stringMatching(/^PENSTOCK_X: .*rows-read/) }),
  )
})

test('a limit that is given twice is refused', () => {
  expect(() => roleLimitsFrom('seconds=1 seconds=2', 'X')).toThrow(/seconds twice/)
})
