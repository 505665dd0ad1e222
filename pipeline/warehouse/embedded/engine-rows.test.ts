import { expect, test } from 'vitest'
import { engineRows } from './engine-rows.ts'

const isText = (value: unknown): value is string => typeof value === 'string'

test('rows are read line by line; an answer without any has none', () => {
  expect(engineRows(Buffer.from('"a"\n"b"\n'), 'texts', isText)).toEqual(['a', 'b'])
  expect(engineRows(Buffer.from('\n'), 'texts', isText)).toEqual([])
})

test.each(['1', '"a"\n{}', '"a'])('%j is no answer', (text) => {
  expect(() => engineRows(Buffer.from(text), 'texts', isText)).toThrow('the engine tells texts')
})
