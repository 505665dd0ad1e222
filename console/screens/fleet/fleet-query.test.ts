import { expect, test } from 'vitest'
import { fleetQuery } from './fleet-query.ts'

test.each([
  ['', '', 'SELECT * FROM devices'],
  [
    'pump-',
    '',
    `SELECT * FROM devices WHERE deviceId >= 'pump-' AND deviceId < 'pump-~' AND STARTSWITH(deviceId, 'pump-')`,
  ],
  ['', "status = 'enabled' OR tags.a = 1 ", `SELECT * FROM devices WHERE (status = 'enabled' OR tags.a = 1)`],
])('the prefix %j and the condition %j are one query', (prefix, where, query) => {
  expect(fleetQuery(prefix, where)).toBe(query)
})

test('an id that has a quote ends no text', () => {
  expect(fleetQuery("o'", '')).toContain(`STARTSWITH(deviceId, "o'")`)
  expect(fleetQuery(`o'" OR 1`, '')).toContain(`STARTSWITH(deviceId, "o' OR 1")`)
})
