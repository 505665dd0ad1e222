import { describe, expect, test } from 'vitest'
import { seededRandom } from '#runtime/seeded-random.ts'
import {
  changesSince,
  emptyObject,
  isObject,
  type Json,
  type JsonObject,
  metadataOf,
  patched,
  replaced,
  type Section,
} from './section.ts'

const empty: Section = { value: emptyObject, marks: {}, version: 1, floor: 0 }
const all = { countMax: 1_000, sinceMs: 0 }

const parsed = (text: string): JsonObject => JSON.parse(text)
const textOf = (value: unknown): string => JSON.stringify(value)

/** RFC 7396, as its own text has it, on plain objects: the model of patches, and what a device does with one. */
function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch
  const result: { [key: string]: Json } = Object.assign(Object.create(null), isObject(target) ? target : {})
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key]
    else result[key] = mergePatch(result[key], value)
  }
  return result
}

const sorted = (value: Json): Json =>
  isObject(value)
    ? Object.fromEntries(
        Object.keys(value)
          .sort()
          .map((key) => [key, sorted(value[key] ?? null)]),
      )
    : value

describe('a patch', () => {
  test.each([
    // Appendix A of RFC 7396, where both are objects.
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['{"e":1}', '{"a":1}', '{"e":1,"a":1}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
    // Objects where there were none, and the other way round.
    ['{"a":1}', '{"a":{"b":null}}', '{"a":{}}'],
    ['{"a":{"b":1}}', '{"a":2}', '{"a":2}'],
    ['{"a":{"b":1}}', '{"a":{}}', '{"a":{"b":1}}'],
    ['{}', '{"a":null}', '{}'],
    ['{"a":false}', '{"a":0}', '{"a":0}'],
    // Names that objects of the language have are data.
    ['{}', '{"__proto__":{"polluted":true}}', '{"__proto__":{"polluted":true}}'],
    ['{"__proto__":{"a":1}}', '{"__proto__":{"a":null},"constructor":1}', '{"__proto__":{},"constructor":1}'],
    ['{"toString":1}', '{"hasOwnProperty":{"toString":2}}', '{"toString":1,"hasOwnProperty":{"toString":2}}'],
  ])('%s and %s make %s', (before, patch, after) => {
    const section = patched({ ...empty, value: parsed(before) }, JSON.parse(patch), 5)
    expect(textOf(section.value)).toBe(after)
    expect(section.version).toBe(2)
    expect(Reflect.get({}, 'polluted')).toBe(undefined)
  })

  test('leaves the section that it was merged into as it was', () => {
    const before = patched(empty, parsed('{"a":{"b":1},"c":2}'), 1, all)
    const text = textOf(before)
    patched(before, parsed('{"a":{"b":null,"d":1},"c":null}'), 2, all)
    expect(textOf(before)).toBe(text)
  })

  test('marks what it names, and all that lies above, and nothing else', () => {
    const first = patched(empty, parsed('{"fw":{"version":"1","url":"u"},"on":true}'), 1_000)
    const second = patched(first, parsed('{"fw":{"version":"2"}}'), 2_000)
    expect(textOf(second.marks)).toBe(
      '{"":[2000,3],"fw":{"":[2000,3],"version":[2000,3],"url":[1000,2]},"on":[1000,2]}',
    )
    expect(metadataOf(second, 0, true)).toEqual({
      $lastUpdated: '1970-01-01T00:00:02.000Z',
      $lastUpdatedVersion: 3,
      fw: {
        $lastUpdated: '1970-01-01T00:00:02.000Z',
        $lastUpdatedVersion: 3,
        version: { $lastUpdated: '1970-01-01T00:00:02.000Z', $lastUpdatedVersion: 3 },
        url: { $lastUpdated: '1970-01-01T00:00:01.000Z', $lastUpdatedVersion: 2 },
      },
      on: { $lastUpdated: '1970-01-01T00:00:01.000Z', $lastUpdatedVersion: 2 },
    })
    expect(metadataOf(empty, 3_000, false)).toEqual({ $lastUpdated: '1970-01-01T00:00:03.000Z' })
  })

  test('without memory leaves nothing of what it removes', () => {
    const section = patched(patched(empty, parsed('{"a":{"b":1},"c":2}'), 1), parsed('{"a":null,"c":null}'), 2)
    expect(textOf(section)).toBe('{"value":{},"marks":{"":[2,3]},"version":3,"floor":0}')
  })
})

describe('what changed since a version', () => {
  const steps = ['{"a":1,"o":{"x":1,"y":2}}', '{"a":null,"o":{"x":3}}', '{"o":5}', '{"o":{"z":1}}', '{"b":[1]}']
  let last = empty
  for (const [index, step] of steps.entries()) last = patched(last, parsed(step), index, all)

  test.each([
    [1, '{"a":null,"o":{"x":null,"y":null,"z":1},"b":[1]}'],
    [2, '{"a":null,"o":{"x":null,"y":null,"z":1},"b":[1]}'],
    [3, '{"o":{"x":null,"y":null,"z":1},"b":[1]}'],
    [4, '{"o":{"z":1},"b":[1]}'],
    [5, '{"b":[1]}'],
    [6, '{}'],
  ])('%i is one patch', (version, patch) => {
    expect(sorted(changesSince(last, version))).toEqual(sorted(parsed(patch)))
  })

  test('of a replaced section is all of it, until the next change', () => {
    const section = replaced(last, parsed('{"n":{"m":1},"gone":null}'), 9)
    expect(section).toMatchObject({ version: 7, floor: 7 })
    for (const version of [1, 6]) expect(textOf(changesSince(section, version))).toBe('{"n":{"m":1}}')
    expect(textOf(changesSince(section, 7))).toBe('{}')
    const next = patched(section, parsed('{"k":1}'), 10, all)
    expect(textOf(changesSince(next, 7))).toBe('{"k":1}')
    expect(textOf(changesSince(next, 6))).toBe('{"n":{"m":1},"k":1}')
  })

  test('that is beyond what is remembered is all of it: too many removals, or too long ago', () => {
    const many = Array.from({ length: 5 }, (_, index) => `{"k${index}":null}`)
    let section = patched(empty, parsed('{"k0":1,"k1":1,"k2":1,"k3":1,"k4":1,"keep":1}'), 0, all)
    for (const [index, step] of many.entries())
      section = patched(section, parsed(step), index, { countMax: 2, sinceMs: 0 })
    expect(section).toMatchObject({ version: 7, floor: 4 })
    expect(textOf(changesSince(section, 4))).toBe('{"k2":null,"k3":null,"k4":null}')
    expect(textOf(changesSince(section, 3))).toBe('{"keep":1}')
    const later = patched(section, parsed('{"l":1}'), 100, { countMax: 64, sinceMs: 50 })
    expect(later.floor).toBe(7)
    expect(textOf(changesSince(later, 7))).toBe('{"l":1}')
  })

  test('removals of the last change are told, however many they are', () => {
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
    const full = patched(empty, Object.fromEntries(keys.map((key) => [key, 1])), 0, all)
    const section = patched(full, Object.fromEntries(keys.map((key) => [key, null])), 1, { countMax: 64, sinceMs: 0 })
    expect(Object.keys(changesSince(section, 2))).toHaveLength(100)
  })

  test('brings whoever merges it from any version to the last one, whatever was changed [G-8]', () => {
    const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000)
    const random = seededRandom(seed)
    const names = ['a', 'b', 'c', '__proto__']
    const randomValue = (depth: number): Json => {
      if (random.chance(0.3)) return null
      if (depth > 2 || random.chance(0.5)) return random.below(3)
      return randomObject(depth)
    }
    const randomObject = (depth: number): JsonObject => {
      const object: { [key: string]: Json } = Object.create(null)
      for (const name of names) if (random.chance(0.4)) object[name] = randomValue(depth + 1)
      return object
    }
    for (let round = 0; round < 300; round++) {
      const history = [empty]
      for (let step = 0; step < 8; step++) {
        const before = history.at(-1) ?? empty
        const patch = randomObject(0)
        const after = patched(before, patch, step, all)
        expect(sorted(after.value), `SEED=${seed}`).toEqual(sorted(mergePatch(before.value, patch)))
        // As it is stored and read back.
        history.push({ ...after, value: parsed(textOf(after.value)), marks: parsed(textOf(after.marks)) as never })
      }
      const end = history.at(-1) ?? empty
      for (const { value, version } of history)
        expect(sorted(mergePatch(value, changesSince(end, version))), `SEED=${seed}`).toEqual(sorted(end.value))
    }
  })
})
