import { expect, test } from 'vitest'
import { chartOf, jsonOf, resultCsv } from './statement.ts'

const columns = [
  { name: 'at', type: "DateTime64(3, 'UTC')" },
  { name: 'value', type: 'Nullable(Float64)' },
  { name: 'text', type: 'String' },
]
const rows = [
  ['2026-01-01 00:00:01.000', 2.5, '=1+1'],
  ['2026-01-01 00:00:00.000', null, 'a "b", c'],
]

test('rows become CSV without formulas, and JSON', () => {
  expect(resultCsv({ columns, rows })).toBe(
    'at,value,text\r\n2026-01-01 00:00:01.000,2.5,\'=1+1\r\n2026-01-01 00:00:00.000,NULL,"a ""b"", c"\r\n',
  )
  expect(JSON.parse(jsonOf({ columns, rows }))[0]).toEqual({ at: '2026-01-01 00:00:01.000', value: 2.5, text: '=1+1' })
})

test('a time and numbers are lines in the order of time; anything else is none', () => {
  const second = Date.parse('2026-01-01T00:00:01Z')
  expect(chartOf({ columns, rows })).toEqual([
    {
      name: 'value',
      points: [
        [second - 1_000, undefined],
        [second, 2.5],
      ],
    },
  ])
  expect(chartOf({ columns: columns.slice(1), rows })).toEqual([])
})
