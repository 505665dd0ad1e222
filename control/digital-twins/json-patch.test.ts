import { describe, expect, test } from 'vitest'
import { limits } from '#schemas/limits.ts'
import { desiredPatchFrom } from './json-patch.ts'

const twin = {
  desired: {
    fan: { low: 1, high: 2 },
    speed: 3,
    thermostat: { __t: 'c', target: 20, range: { low: 1, high: 2 } },
    lamp: { __t: 'c', on: true },
  },
  reported: { sensor: { __t: 'c', heat: 4 }, serial: 'a' },
}

const patch = (...operations: readonly object[]) => desiredPatchFrom(operations, twin)
const add = (path: string, value: unknown) => ({ op: 'add', path, value })
const remove = (path: string) => ({ op: 'remove', path })

describe('a JSON Patch of a digital twin', () => {
  test.each([
    ['a property', add('/speed', 4), { speed: 4 }],
    [
      'a property that is an object, of which nothing else is left',
      add('/fan', { low: 5 }),
      { fan: { low: 5, high: null } },
    ],
    ['a property of a component', add('/thermostat/target', 21), { thermostat: { target: 21 } }],
    [
      'a property of a component that only the device told of',
      add('/sensor/heat', 5),
      { sensor: { __t: 'c', heat: 5 } },
    ],
    ['a property that only the device told of', add('/serial', 'b'), { serial: 'b' }],
    [
      'a component, of which nothing else is left',
      add('/thermostat', { low: 1, $metadata: {} }),
      { thermostat: { __t: 'c', low: 1, target: null, range: null } },
    ],
  ])('writes %s, with add and replace alike', (_what, operation, expected) => {
    for (const op of ['add', 'replace']) expect(patch({ ...operation, op })).toEqual(expected)
  })

  test.each([
    ['a property', add('/pace', 4), { pace: 4 }],
    ['a property of a component', add('/thermostat/low', 4), { thermostat: { low: 4 } }],
    ['one of a component that the device told of', add('/sensor/rate', 5), { sensor: { __t: 'c', rate: 5 } }],
    ['a component', add('/door', { open: true, $metadata: {} }), { door: { __t: 'c', open: true } }],
    ['a component without properties', add('/door', { $metadata: {} }), { door: { __t: 'c' } }],
  ])('adds what is new: %s, which replace does not', (_what, operation, expected) => {
    expect(patch(operation)).toEqual(expected)
    expect(() => patch({ ...operation, op: 'replace' })).toThrow(`${operation.path} cannot be replaced`)
  })

  test.each([
    ['a property', '/speed', { speed: null }],
    ['a component', '/thermostat', { thermostat: null }],
    ['a property of a component', '/thermostat/target', { thermostat: { target: null } }],
    ['the last property of a component, and the component with it', '/lamp/on', { lamp: null }],
  ])('removes %s', (_what, path, expected) => expect(patch(remove(path))).toEqual(expected))

  test.each([
    ['/pace cannot be removed', [remove('/pace')]],
    ['/serial cannot be removed', [remove('/serial')]],
    ['/door cannot be removed', [remove('/door')]],
    ['/sensor/heat cannot be removed', [remove('/sensor/heat')]],
    ['/thermostat/pace cannot be removed', [remove('/thermostat/pace')]],
    ['/door/open cannot be removed', [remove('/door/open')]],
    ['/speed cannot be removed', [remove('/speed'), remove('/speed')]],
    ['/lamp/on cannot be removed', [remove('/lamp/on'), remove('/lamp/on')]],
    ['/door/open cannot be replaced', [{ op: 'replace', path: '/door/open', value: 1 }]],
    ['/speed cannot be replaced', [remove('/speed'), { op: 'replace', path: '/speed', value: 1 }]],
    ['/door/open cannot be added: the component is not there', [add('/door/open', true)]],
    ['/lamp/dim cannot be added: the component is not there', [remove('/lamp'), add('/lamp/dim', 1)]],
  ])('is refused where what it is about is not there: %s', (reason, operations) => {
    expect(() => patch(add('/speed', 9), ...operations)).toThrow(reason)
  })

  test('does one operation after the other, and names nothing that none of them wrote', () => {
    expect(
      patch(
        add('/thermostat/target', 21),
        add('/thermostat/target', 22),
        remove('/thermostat/range'),
        add('/lamp', { dim: 1, $metadata: {} }),
        add('/lamp/dim', 2),
        remove('/speed'),
        add('/speed', 5),
      ),
    ).toEqual({
      thermostat: { target: 22, range: null },
      lamp: { __t: 'c', dim: 2, on: null },
      speed: 5,
    })
    expect(patch(remove('/thermostat/target'), remove('/thermostat/range'))).toEqual({ thermostat: null })
    expect(patch(add('/lamp/dim', 1), remove('/lamp'))).toEqual({ lamp: null })
    expect(patch(remove('/lamp/on'), add('/lamp/dim', 1))).toEqual({ lamp: { on: null, dim: 1 } })
    expect(patch(add('/door', { $metadata: {} }), add('/door/open', true))).toEqual({ door: { __t: 'c', open: true } })
  })

  test('has as many operations as a patch of a twin has entries, and no more', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => add(`/p${index}`, index))
    expect(Object.keys(patch(...many(limits.twinEntriesMax)))).toHaveLength(limits.twinEntriesMax)
    expect(() => patch(...many(limits.twinEntriesMax + 1))).toThrow('a list of 1 to')
  })

  test.each([
    ['a list of 1 to', {}],
    ['a list of 1 to', []],
    ['op must be add, replace or remove', [{ op: 'move', path: '/speed', from: '/pace' }]],
    ['op must be add, replace or remove', [{ op: 'copy', path: '/speed', from: '/pace' }]],
    ['op must be add, replace or remove', [{ op: 'test', path: '/speed', value: 3 }]],
    ['op must be add, replace or remove', [null]],
    ['path must be', [add('speed', 1)]],
    ['path must be', [add('x/speed', 1)]],
    ['path must be', [add('', {})]],
    ['path must be', [add('/', 1)]],
    ['path must be', [add('/thermostat/range/low', 1)]],
    ['path must be', [add('/$metadata/$model', 'dtmi:x;1')]],
    ['path must be', [add('/thermostat/__t', 'x')]],
    ['path must be', [add('/__proto__', 1)]],
    ['path must be', [{ op: 'add', path: 7, value: 1 }]],
    ['needs a value without null', [{ op: 'add', path: '/speed' }]],
    ['needs a value without null', [add('/speed', null)]],
    ['needs a value without null', [add('/speed', { a: [null] })]],
    ['speed is a property and no component', [add('/speed/low', 1)]],
    ['serial is a property and no component', [add('/serial/low', 1)]],
    ['speed is a property and no component', [add('/speed', { $metadata: {} })]],
    ['thermostat is a component', [add('/thermostat', { target: 1 })]],
    ['sensor is a component', [add('/sensor', 1)]],
    ['must be an empty object', [add('/door', { $metadata: { a: 1 } })]],
    ['a component has no components', [add('/door/handle', { $metadata: {} })]],
  ])('is refused, with the reason: %s', (reason, document) => {
    expect(() => desiredPatchFrom(document, twin)).toThrow(reason)
  })
})
