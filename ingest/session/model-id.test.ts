import { expect, test } from 'vitest'
import { modelIdOf } from './model-id.ts'

test.each([
  [
    'hub.test/d1/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1',
    'dtmi:com:example:Thermostat;1',
  ],
  ['hub.test/d1/m/?model-id=dtmi:a_b:c;12&DeviceClientType=x%2F1%20(y)', 'dtmi:a_b:c;12'],
  ['hub.test/d1/?api-version=2021-04-12', undefined],
  ['hub.test/d1/', undefined],
  [undefined, undefined],
  ['hub.test/d1/?model-id=', undefined],
  ['hub.test/d1/?model-id=dtmi:a', undefined],
  ['hub.test/d1/?model-id=dtmi:a;0', undefined],
  ['hub.test/d1/?model-id=dtmi:_a;1', undefined],
  ['hub.test/d1/?model-id=dtmi:a_;1', undefined],
  ['hub.test/d1/?model-id=%3Cimg%20src=x%3E', undefined],
  ['hub.test/d1/?model-id=%', undefined],
  [`hub.test/d1/?model-id=dtmi:${'a'.repeat(121)};1`, `dtmi:${'a'.repeat(121)};1`],
  [`hub.test/d1/?model-id=dtmi:${'a'.repeat(122)};1`, undefined],
])('the user name %s announces the model %s', (username, expected) => {
  expect(modelIdOf(username, undefined)).toBe(expected)
})

test('in MQTT 5.0 it may be a user property, which goes first', () => {
  expect(modelIdOf(undefined, new Map([['model-id', 'dtmi:a;1']]))).toBe('dtmi:a;1')
  expect(modelIdOf('h/d/?model-id=dtmi:a;1', new Map([['model-id', 'dtmi:b;1']]))).toBe('dtmi:b;1')
  expect(modelIdOf('h/d/?model-id=dtmi:a;1', new Map())).toBe('dtmi:a;1')
})

test('a name that was made to be slow is judged at once', () => {
  expect(modelIdOf(`h/d/?model-id=dtmi:${'a_'.repeat(30_000)}`, undefined)).toBeUndefined()
  expect(modelIdOf(`h/d/?model-id=dtmi:${'a:'.repeat(60)}`, undefined)).toBeUndefined()
})
