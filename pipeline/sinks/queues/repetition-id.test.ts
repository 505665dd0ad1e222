import { expect, test } from 'vitest'
import { repetitionId } from './repetition-id.ts'

test('a message that comes again is known; one at its place in a log that was made anew is another [G-10]', () => {
  const message = { id: 't/0/7/3', enqueuedAtMs: 1_000 }
  expect(repetitionId({ ...message })).toBe(repetitionId(message))
  expect(repetitionId({ ...message, enqueuedAtMs: 1_001 })).not.toBe(repetitionId(message))
  expect(repetitionId({ ...message, id: 't/0/7/4' })).not.toBe(repetitionId(message))
})
