import { expect, test } from 'vitest'
import { answersOf, offsetFrom } from './answers.ts'

const answer = (topic: string, ...partitions: [partition: number, errorCode: number][]) => ({
  topic,
  partitions: partitions.map(([partition, errorCode]) => ({ partition, errorCode })),
})

test('answers of all that was asked are found, whatever else is told', () => {
  const found = answersOf([answer('other', [0, 5]), answer('t', [2, 0], [0, 0], [7, 3])], 't', [0, 2])
  expect([found.get(0)?.partition, found.get(2)?.partition]).toEqual([0, 2])
})

test.each([
  ['nothing', []],
  ['another topic', [answer('other', [0, 0])]],
  ['another partition', [answer('t', [1, 0])]],
  ['a fault', [answer('t', [0, 7])]],
])('an answer of %s is none', (_, answers) => {
  expect(() => answersOf(answers, 't', [0])).toThrow(expect.objectContaining({ code: 'INTERNAL_EXPECTATION_FAILED' }))
})

test.each(['', 'x', '-1', '-2', '0.5', '9007199254740993', undefined])('%j is no offset', (text) => {
  expect(() => offsetFrom(text, 'it')).toThrow('it is an offset')
})

test('an offset may be absent where the group never committed', () => {
  expect([offsetFrom('-1', 'it', -1), offsetFrom('12', 'it')]).toEqual([-1, 12])
  expect(() => offsetFrom('-2', 'it', -1)).toThrow('it is an offset')
})
