import { expect, test } from 'vitest'
import { lineAt, placeInJson } from './place-in-json.ts'

const text = `{
  "contents": [
    { "name": "a", "schema": "double" },
    { "name": "b", "schema": { "@type" : "Map", "x\\"y": [1, [2]] } }
  ],
  "properties": { "it's [0]": {"type": "x"} }, "last": 1, "last": 2
}`
const at = (path: string): string | undefined => {
  const place = placeInJson(text, path)
  return place && text.slice(place.start, place.end)
}

test.each([
  ['contents[0].schema', '"double"'],
  ['contents[1].schema', '{ "@type" : "Map", "x\\"y": [1, [2]] }'],
  ['contents[1].schema.@type', '"Map"'],
  ['contents[1].schema["x\\"y"][1][0]', '2'],
  ['properties["it\'s [0]"].type', '"x"'],
  ['last', '2'],
  ['', text],
])('%s is found', (path, expected) => {
  expect(at(path)).toBe(expected)
})

test('of what is not there the part is found that it would be in', () => {
  expect(at('contents[1].name.x')).toBe('"b"')
  expect(at('contents[7]')).toMatch(/^\[\n {4}\{ "name": "a"/)
})

test('a place is told by its line', () => {
  const place = placeInJson(text, 'contents[1].schema.@type')
  expect(place && lineAt(text, place)).toEqual({
    number: 4,
    text: '{ "name": "b", "schema": { "@type" : "Map", "x\\"y": [1, [2]] } }',
  })
})

test.each(['', '{', '[1', '{"a"', '{"a":', '{"a":1,', ']', '"', '{"a":"', '[[[[', 'x{', '{,}', '[,]'])(
  'a text that is no JSON, %j, is looked at to its end',
  (broken) => {
    for (const path of ['', 'a', '[0]', 'a.b[1]']) expect(() => placeInJson(broken, path)).not.toThrow()
  },
)

test('a long text is looked at, too', () => {
  const long = `{"a":[${'1,'.repeat(50_000)}7]}`
  const place = placeInJson(long, 'a[50000]')
  expect(place && long.slice(place.start, place.end)).toBe('7')
})
