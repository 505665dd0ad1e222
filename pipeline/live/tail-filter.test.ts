import { describe, expect, test } from 'vitest'
import type { Envelope } from '#schemas/batch.ts'
import { matcherOf, partitionOf, type TailFilter } from './tail-filter.ts'

const envelope: Envelope = {
  deviceId: 'pump-1',
  enqueuedAtMs: 0,
  body: Buffer.from('{"engine":{"rpm":7,"mode":"eco"},"doors":[true],"none":null}'),
  properties: { alert: 'true', __proto__: 'x' },
  systemProperties: { contentType: 'application/json' },
}

describe('a filter of the tail', () => {
  test.each<[string, TailFilter, boolean]>([
    ['nothing', {}, true],
    ['an id', { device: 'pump-1' }, true],
    ['another id', { device: 'pump-10' }, false],
    ['how ids begin', { device: 'pump-*' }, true],
    ['how other ids begin', { device: 'valve-*' }, false],
    ['a property', { property: 'alert=true' }, true],
    ['a property with another value', { property: 'alert=false' }, false],
    ['that a property is there', { property: 'alert' }, true],
    ['a property of the protocol', { property: 'contentType=application/json' }, true],
    ['a name that every object has', { property: 'toString' }, false],
    ['a number in the body', { body: 'engine.rpm=7' }, true],
    ['another number', { body: 'engine.rpm=8' }, false],
    ['a text in the body', { body: 'engine.mode=eco' }, true],
    ['an item of a list', { body: 'doors.0=true' }, true],
    ['null', { body: 'none=null' }, true],
    ['that a path is there', { body: 'engine' }, true],
    ['a path that is not there', { body: 'engine.torque' }, false],
    ['a path that every object has', { body: 'constructor' }, false],
    ['a text anywhere', { text: '"rpm":7' }, true],
    ['a text that is not there', { text: '"rpm":8' }, false],
    ['two of which one does not hold', { device: 'pump-1', text: 'missing' }, false],
  ])('by %s', (_, filter, matches) => {
    expect(matcherOf(filter)(envelope)).toBe(matches)
  })

  test('a body that is no JSON has no paths, and is searched as it is', () => {
    const binary = { ...envelope, body: Uint8Array.of(0xff, 0x41, 0x42) }
    expect(matcherOf({ body: 'a=1' })(binary)).toBe(false)
    expect(matcherOf({ text: 'AB' })(binary)).toBe(true)
  })

  test('of one device looks at one partition, of several at all', () => {
    expect(partitionOf({ device: 'pump-1' }, 8)).toBeTypeOf('number')
    expect(partitionOf({ device: 'pump-*' }, 8)).toBeUndefined()
    expect(partitionOf({}, 8)).toBeUndefined()
  })
})
