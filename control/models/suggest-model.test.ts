import { expect, test } from 'vitest'
import { readModel } from './read-model.ts'
import { type SeenValues, suggestionFrom } from './suggest-model.ts'

const seen = (path: string, kind: string, count = 100): SeenValues => ({ path: path.split('.'), kind, count })

test('what bodies held becomes a schema that can be added', () => {
  const { document, notes, rowCount } = suggestionFrom(
    [
      seen('t', 'Double', 90),
      seen('t', 'Int64', 10),
      seen('n', 'UInt64'),
      seen('n', 'Null', 5),
      seen('on', 'Bool'),
      seen('at', 'Moment'),
      seen('day', 'Date'),
      seen('text', 'Date', 3),
      seen('text', 'String'),
      seen('list', 'Array Double Int64', 50),
      seen('list', 'Array ', 50),
      seen('o', 'Object'),
      seen('o.x', 'Double'),
      seen('o.deep', 'Object'),
      seen('__proto__', 'Double'),
    ],
    100,
  )
  expect(rowCount).toBe(100)
  expect(notes).toEqual([{ path: 'o.deep', message: 'is left out: Object in 100' }])
  expect(readModel(document).fields.map(({ name, type, isList }) => [name, type, isList])).toEqual([
    ['t', 'double', false],
    ['n', 'long', false],
    ['on', 'boolean', false],
    ['at', 'dateTime', false],
    ['day', 'date', false],
    ['text', 'string', false],
    ['list', 'double', true],
    ['o_x', 'double', false],
    ['__proto__', 'double', false],
  ])
})

test('what is now and then something else is told; what is as often one as the other is left out', () => {
  const { document, notes } = suggestionFrom(
    [
      seen('t', 'Double', 990),
      seen('t', 'String', 10),
      seen('u', 'Double', 60),
      seen('u', 'String', 40),
      seen('v', 'Null'),
    ],
    1_000,
  )
  expect(document.properties).toEqual({ t: { type: 'number' } })
  expect(notes).toEqual([
    { path: 't', message: 'was something else now and then, which will be NULL: String in 10' },
    { path: 'u', message: 'is left out: Double in 60, String in 40' },
    { path: 'v', message: 'is left out: it was always null' },
  ])
})

test('of no rows nothing is said', () => {
  const { document, notes } = suggestionFrom([], 0)
  expect(document.properties).toEqual({})
  expect(notes).toEqual([{ path: '', message: 'no row of the last 7 days is of it' }])
})
