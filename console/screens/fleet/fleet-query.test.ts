import { expect, test } from 'vitest'
import { CallFault } from '#console/data/call.ts'
import { listedFields } from '#console/data/devices.ts'
import { conditionFault, fleetQuery } from './fleet-query.ts'

test.each([
  ['', '', ''],
  ['pump-', '', ` WHERE deviceId >= 'pump-' AND deviceId < 'pump-~' AND STARTSWITH(deviceId, 'pump-')`],
  ['', "status = 'enabled' OR tags.a = 1 ", ` WHERE (status = 'enabled' OR tags.a = 1)`],
])('the prefix %j and the condition %j are one query', (prefix, where, query) => {
  expect(fleetQuery(prefix, where)).toBe(`SELECT ${listedFields} FROM devices${query}`)
})

test('an id that has a quote ends no text', () => {
  expect(fleetQuery("o'", '')).toContain(`STARTSWITH(deviceId, "o'")`)
  expect(fleetQuery(`o'" OR 1`, '')).toContain(`STARTSWITH(deviceId, "o' OR 1")`)
})

test('a fault is told at its place in the condition that was typed', () => {
  const where = ' tags.hall = '
  const query = fleetQuery('pump-', where)
  const at = query.indexOf(')', query.lastIndexOf('tags'))
  const fault = new CallFault(400, 'ArgumentInvalid', `the query cannot be read at character ${at}: expected a name`)
  expect(conditionFault(fault, query, where)).toMatchObject({
    status: 400,
    message: 'the condition cannot be read at character 12: expected a name',
  })
  const other = new CallFault(503, '', 'the store is away')
  expect(conditionFault(other, query, where)).toBe(other)
  expect(conditionFault(fault, fleetQuery('pump-', ''), '')).toBe(fault)
})
