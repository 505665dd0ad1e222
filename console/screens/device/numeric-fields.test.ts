import { expect, test } from 'vitest'
import { numericFields } from './numeric-fields.ts'

const message = (at: number, body: string) => ({ at, body, encoding: 'utf8' as const })

test('numbers of bodies are lines by their path, in order of time', () => {
  const fields = numericFields([
    message(2, '{"temperature":22,"engine":{"rpm":7},"name":"x"}'),
    message(1, '{"temperature":21}'),
    message(3, 'no JSON'),
    { at: 4, body: 'AAAA', encoding: 'base64' },
  ])
  expect([...fields]).toEqual([
    [
      'temperature',
      [
        [1, 21],
        [2, 22],
      ],
    ],
    ['engine.rpm', [[2, 7]]],
  ])
})

test('a body that is a number is one line, and endless bodies make no endless lines', () => {
  expect([...numericFields([message(1, '21.5')]).keys()]).toEqual(['value'])
  const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`f${index}`, index])))
  expect(numericFields([message(1, wide)]).size).toBe(24)
  expect(numericFields([message(1, `${'{"a":'.repeat(50)}1${'}'.repeat(50)}`)]).size).toBe(0)
})

test('a line is broken where the device was away', () => {
  const times = [0, 1_000, 2_000, 3_000, 600_000, 601_000]
  const points = numericFields(times.map((at) => message(at, '7'))).get('value')
  expect(points?.map(([at, value]) => [at, value])).toContainEqual([3_001, undefined])
  expect(points).toHaveLength(times.length + 1)
})
