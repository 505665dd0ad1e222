import { expect, test } from 'vitest'
import { routeSetOf } from './batches-fixture.ts'
import { type Route, RouteSet } from './route-set.ts'

const route = (name: string, condition: string | undefined, endpoint: string, fields: Partial<Route> = {}): Route => ({
  name,
  source: 'DeviceMessages',
  condition,
  endpointNames: [endpoint],
  isEnabled: true,
  ...fields,
})
const fallback = { name: '$fallback', endpointNames: ['events'], isEnabled: true }
const bits = (mask: Uint32Array | undefined) => [...(mask ?? [])]

test('conditions with errors are all named by their route, also of the fallback; disabled ones are not read', () => {
  const problems = RouteSet.read('1', {
    routes: [route('good', 'true', 'a'), route('bad', 'level >', 'a'), route('off', '(', 'a', { isEnabled: false })],
    fallback: { ...fallback, condition: "'x' > 3" },
  })
  if (problems instanceof RouteSet) return expect.fail('it has errors')
  expect(problems.map(({ route }) => route)).toEqual(['bad', '$fallback'])
  for (const { errors } of problems) expect(errors[0]?.location.start.line).toBe(1)
})

test('endpoints are those of enabled routes, each once; names are those of all routes', () => {
  const { endpoints, names } = routeSetOf({
    routes: [
      route('1', 'true', 'b'),
      route('2', 'true', 'a', { isEnabled: false }),
      route('3', "x = '1'", 'c', { endpointNames: ['b', 'c'] }),
    ],
    fallback,
  })
  expect(endpoints).toEqual(['b', 'c', 'events'])
  expect(names).toEqual(['1', '2', '3', '$fallback'])
})

test('conditions are told apart by what they ask', () => {
  const rules = routeSetOf({
    routes: [
      route('always', '1 < 2', 'a'),
      route('never', '1 > 2', 'a'),
      route('property', "level = 'x'", 'b'),
      route('system', "$messageId = 'x'", 'b'),
      route('device', "$connectionDeviceId = 'x'", 'b'),
      route('time', "$enqueuedTime > '2026'", 'b'),
      route('body', '$body.t > 1', 'b'),
      route('twin', "$twin.tags.site = 'x'", 'b'),
    ],
  }).rules('DeviceMessages')
  expect(rules?.always).toEqual([0])
  expect(rules?.bySuffix.map(({ index }) => index)).toEqual([1, 2, 3])
  expect(rules?.byMessage.map(({ index }) => index)).toEqual([4, 5, 6, 7])
})

test('no message is looked at where every one goes to the same endpoints', () => {
  const looks = (...args: Parameters<typeof routeSetOf>) => routeSetOf(...args).rules('DeviceMessages')?.looksAtMessages
  const always = route('always', undefined, 'a')
  expect(looks({ routes: [always] })).toBe(false)
  expect(looks({ routes: [always, route('shadowed', '$body.t > 1', 'a')], fallback })).toBe(false)
  expect(looks({ routes: [always, route('other', '$body.t > 1', 'b')] })).toBe(true)
  expect(looks({ routes: [], fallback })).toBe(false)
  expect(looks({ routes: [], fallback: { ...fallback, condition: '$body.t > 1' } })).toBe(true)
  expect(looks({ routes: [always] }, { decodedEndpoints: new Set(['a']) })).toBe(true)
  expect(looks({ routes: [always] }, { decodedEndpoints: new Set(['b']) })).toBe(false)
})

test('the fallback is of DeviceMessages, and has nothing to do where a route takes all', () => {
  const events = route('events', 'true', 'a', { source: 'DeviceLifecycleEvents' })
  const set = routeSetOf({ routes: [events], fallback })
  expect(set.rules('DeviceLifecycleEvents')?.fallback).toBeUndefined()
  expect(bits(set.rules('DeviceMessages')?.alwaysMask)).toEqual([0b10])
  expect(set.rules('DeviceConnectionStateEvents')).toBeUndefined()
  expect(
    routeSetOf({ routes: [route('all', 'true', 'a')], fallback }).rules('DeviceMessages')?.fallback,
  ).toBeUndefined()
  const disabled = routeSetOf({ routes: [], fallback: { ...fallback, isEnabled: false } })
  expect(disabled.endpoints).toEqual([])
})

test('a mask has room for each endpoint', () => {
  const routes = Array.from({ length: 70 }, (_, index) => route(`r${index}`, 'true', `e${index}`))
  const set = routeSetOf({ routes })
  expect(set.maskWords).toBe(3)
  expect(bits(set.rules('DeviceMessages')?.alwaysMask)).toEqual([0xffffffff, 0xffffffff, 0b111111])
})
