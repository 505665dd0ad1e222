import { expect, test } from 'vitest'
import { completionsAt, type SqlNames } from './completions.ts'

const names: SqlNames = {
  tables: [
    {
      name: 'penstock.telemetry',
      columns: [
        ['device_id', 'String'],
        ['body', 'String'],
      ],
    },
    {
      name: 'penstock.device_events',
      columns: [
        ['device_id', 'String'],
        ['event', 'String'],
      ],
    },
    { name: 'system.parts', columns: [['rows', 'UInt64']] },
  ],
  functions: [
    { name: 'count', isAggregate: true },
    { name: 'toStartOfInterval', isAggregate: false },
  ],
}

/** `|` is where the cursor stands. */
function offered(marked: string, isAsked = false) {
  const cursor = marked.indexOf('|')
  return completionsAt(marked.replace('|', ''), cursor, names, ['SELECT', 'FROM'], isAsked)
}
const labels = (marked: string): string[] => (offered(marked)?.options ?? []).map(({ label }) => label)

test.each([
  ['SELECT * FROM pen|', ['penstock.telemetry', 'penstock.device_events', 'system.parts']],
  ['SELECT * FROM penstock.|', ['telemetry', 'device_events']],
  ['SELECT * FROM penstock.tel|', ['telemetry', 'device_events']],
  ['SELECT t.| FROM penstock.telemetry AS t', ['device_id', 'body']],
  ['SELECT e.| FROM penstock.telemetry t JOIN penstock.device_events e', ['device_id', 'event']],
  ['SELECT telemetry.| FROM penstock.telemetry', ['device_id', 'body']],
  ['SELECT penstock.telemetry.bo| FROM penstock.telemetry', ['device_id', 'body']],
])('at %s these are offered: %j', (marked, expected) => {
  expect(labels(marked)).toEqual(expected)
})

test('elsewhere columns of the tables that are named come first, then words and functions', () => {
  expect(labels('SELECT e| FROM penstock.device_events')).toEqual([
    ...['device_id', 'event'],
    ...['SELECT', 'FROM'],
    ...['penstock.telemetry', 'penstock.device_events', 'system.parts'],
    ...['count', 'toStartOfInterval'],
  ])
  expect(labels('SELECT b|').slice(0, 2)).toEqual(['device_id', 'body'])
  expect(labels('SELECT x| FROM penstock.telemetry JOIN penstock.device_events').slice(0, 3)).toEqual([
    ...['device_id', 'body', 'event'],
  ])
})

test('what is offered takes the place of what is typed, from its beginning', () => {
  expect(offered('SELECT dev|')?.from).toBe('SELECT '.length)
  expect(offered('SELECT t.dev| FROM penstock.telemetry t')?.from).toBe('SELECT t.'.length)
  expect(offered('SELECT cou|')?.options.find(({ label }) => label === 'count')).toMatchObject({
    apply: 'count(',
    detail: 'aggregate',
  })
})

test.each(["WHERE body = 'dev|", 'SELECT 1 -- dev|', 'SELECT /* dev|', 'SELECT 12|', 'SELECT |', "= 'it\\'s dev|"])(
  'within %s nothing is offered',
  (marked) => {
    expect(offered(marked)).toBeUndefined()
  },
)

test('where nothing is typed they are offered to who asks', () => {
  expect(offered('SELECT |', true)?.options.length).toBeGreaterThan(4)
  expect(labels("WHERE body = 'a' AND dev|").length).toBeGreaterThan(4)
})
