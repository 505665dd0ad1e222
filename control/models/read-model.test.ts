import { describe, expect, test } from 'vitest'
import { DocumentReader } from '#runtime/document-reader.ts'
import { limits } from '#schemas/limits.ts'
import { readDtdl } from './read-dtdl.ts'
import { ModelRefused, readModel } from './read-model.ts'

const dtdl = (contents: unknown, more: object = {}): object => ({
  '@context': 'dtmi:dtdl:context;2',
  '@id': 'dtmi:com:example:Thermostat;1',
  '@type': 'Interface',
  contents,
  ...more,
})
const telemetry = (name: unknown, schema: unknown): object => ({ '@type': 'Telemetry', name, schema })
const properties = (fields: object): object => ({ type: 'object', properties: fields })

/** `name: type`, lists with []; within objects by their path. */
const fieldsOf = (json: unknown): string[] =>
  readModel(json).fields.map(({ path, type, isList }) => `${path.join('.')}: ${type}${isList ? '[]' : ''}`)

const problemsOf = (json: unknown): readonly (readonly [path: string, message: string])[] => {
  try {
    readModel(json)
    return []
  } catch (error) {
    if (!(error instanceof ModelRefused)) throw error
    return error.problems.map(({ path, message }) => [path, message] as const)
  }
}

describe('DTDL', () => {
  test('telemetry of every kind that is read becomes fields', () => {
    const contents = [
      ...['boolean', 'integer', 'long', 'float', 'double', 'string', 'date', 'dateTime'].map((each) =>
        telemetry(`a_${each}`, each),
      ),
      telemetry('took', 'duration'),
      telemetry('at', 'time'),
      telemetry('place', 'point'),
      telemetry('state', { '@type': 'Enum', valueSchema: 'string', enumValues: [{ name: 'on', enumValue: 'on' }] }),
      telemetry('code', { '@type': 'Enum', valueSchema: 'integer', enumValues: [] }),
      telemetry('values', { '@type': 'Array', elementSchema: 'double' }),
      telemetry('motor', {
        '@type': 'Object',
        fields: [
          { name: 'rpm', schema: 'long' },
          { name: 'faults', schema: { '@type': 'Array', elementSchema: 'string' } },
        ],
      }),
      {
        '@type': ['Telemetry', 'Temperature'],
        name: 't',
        schema: 'double',
        unit: 'degreeCelsius',
        displayName: { en: 'T' },
      },
    ]
    expect(fieldsOf(dtdl(contents))).toEqual([
      ...['boolean', 'integer', 'long', 'float', 'double', 'string', 'date', 'dateTime'].map(
        (each) => `a_${each}: ${each}`,
      ),
      'took: string',
      'at: string',
      'place: point',
      'state: enum',
      'code: integer',
      'values: double[]',
      'motor.rpm: long',
      'motor.faults: string[]',
      't: double',
    ])
    expect(readModel(dtdl(contents)).modelId).toBe('dtmi:com:example:Thermostat;1')
  })

  test.each(['dtmi:dtdl:context;2', ['dtmi:dtdl:context;3', 'dtmi:dtdl:extension:quantitativeTypes;1']])(
    'version %j, in a list of one, with named schemas, is read',
    (context) => {
      const pair = { '@id': 'dtmi:a:pair;1', '@type': 'Object', fields: [{ name: 'x', schema: 'dtmi:a:level;1' }] }
      const level = { '@id': 'dtmi:a:level;1', '@type': 'Enum', valueSchema: 'string', enumValues: [] }
      const json = dtdl([telemetry('p', 'dtmi:a:pair;1'), telemetry('l', 'dtmi:a:level;1')], {
        '@context': context,
        schemas: [pair, level],
      })
      expect(fieldsOf([json])).toEqual(['p.x: enum', 'l: enum'])
    },
  )

  test('what is no telemetry is left aside, and told', () => {
    const { fields, leftAside } = readModel(
      dtdl([
        { '@type': 'Property', name: 'target', schema: { '@type': 'Map' }, writable: true },
        { '@type': 'Command', name: 'reboot' },
        telemetry('t', 'double'),
      ]),
    )
    expect(fields.map(({ name }) => name)).toEqual(['t'])
    expect(leftAside).toEqual([
      { path: 'contents[0]', message: 'Property target is no telemetry' },
      { path: 'contents[1]', message: 'Command reboot is no telemetry' },
    ])
  })

  test.each([
    [
      'another version',
      dtdl([telemetry('t', 'double')], { '@context': 'dtmi:dtdl:context;4' }),
      '@context',
      /names dtmi:dtdl:context;4; allowed are/,
    ],
    [
      'an extension that may say anything',
      dtdl([telemetry('t', 'double')], { '@context': ['dtmi:dtdl:context;2', 'dtmi:iotcentral:context;2'] }),
      '@context',
      /iotcentral/,
    ],
    ['extends', dtdl([telemetry('t', 'double')], { extends: 'dtmi:a;1' }), 'extends', /is not read/],
    [
      'a component',
      dtdl([{ '@type': 'Component', name: 'c', schema: 'dtmi:a;1' }]),
      'contents[0]',
      /Component is not read/,
    ],
    [
      'a map',
      dtdl([telemetry('m', { '@type': 'Map', mapKey: {}, mapValue: {} })]),
      'contents[0].schema',
      /Map is not read/,
    ],
    [
      'lists of lists',
      dtdl([telemetry('m', { '@type': 'Array', elementSchema: { '@type': 'Array', elementSchema: 'long' } })]),
      'contents[0].schema.elementSchema',
      /lists of lists/,
    ],
    [
      'objects within objects',
      dtdl([telemetry('o', { '@type': 'Object', fields: [{ name: 'i', schema: { '@type': 'Object', fields: [] } }] })]),
      'contents[0].schema.fields[0].schema',
      /one level/,
    ],
    [
      'an unknown schema',
      dtdl([telemetry('t', 'lineString')]),
      'contents[0].schema',
      /lineString is not read; allowed are boolean/,
    ],
    ['a name of Object.prototype', dtdl([telemetry('t', 'toString')]), 'contents[0].schema', /toString is not read/],
    ['an unknown member', dtdl([{ ...telemetry('t', 'double'), scale: 2 }]), 'contents[0].scale', /is not known here/],
    ['no id', dtdl([telemetry('t', 'double')], { '@id': 'x' }), '@id', /must be the id/],
    ['no name', dtdl([telemetry(5, 'double')]), 'contents[0].name', /a name is expected/],
    ['another kind of content', dtdl([{ '@type': 'Gadget' }]), 'contents[0].@type', /must be one of Telemetry/],
    ['no content at all', dtdl([5, null]), 'contents[0]', /an object is expected, this is a number/],
    [
      'two fields of one name',
      dtdl([telemetry('a_b', 'long'), telemetry('a', { '@type': 'Object', fields: [{ name: 'b', schema: 'long' }] })]),
      'contents[1].schema.fields[0].schema',
      /gives the column a_b, as contents\[0\].schema does/,
    ],
    ['two Interfaces', [dtdl([]), dtdl([])], '', /one Interface is read at a time/],
    ['nothing but properties', dtdl([{ '@type': 'Property', name: 'p', schema: 'long' }]), '', /names no field/],
  ])('%s is refused by its path', (_what, json, path, message) => {
    expect(problemsOf(json)).toContainEqual([path, expect.stringMatching(message)])
  })
})

describe('a JSON Schema', () => {
  test('properties become fields', () => {
    expect(
      fieldsOf(
        properties({
          n: { type: 'number', minimum: 0, default: 1, description: 'x' },
          i: { type: ['integer', 'null'] },
          either: { type: ['integer', 'number'] },
          b: { type: 'boolean' },
          s: { type: 'string', maxLength: 5 },
          at: { type: 'string', format: 'date-time' },
          day: { type: 'string', format: 'date' },
          state: { enum: ['on', 'off', null] },
          maybe: { anyOf: [{ type: 'number' }, { type: 'null' }] },
          list: { type: 'array', items: { type: 'string' } },
          o: { type: 'object', properties: { x: { type: 'number' }, 'it’s `odd`': { type: 'number' } } },
        }),
      ),
    ).toEqual([
      'n: double',
      'i: long',
      'either: double',
      'b: boolean',
      's: string',
      'at: dateTime',
      'day: date',
      'state: enum',
      'maybe: double',
      'list: string[]',
      'o.x: double',
      'o.it’s `odd`: double',
    ])
  })

  test.each([
    ['a reference', properties({ a: { $ref: '#/$defs/a' } }), 'properties.a.$ref', /put what it names in its place/],
    [
      'several branches',
      properties({ a: { oneOf: [{ type: 'number' }, { type: 'string' }] } }),
      'properties.a.oneOf',
      /has 2 branches/,
    ],
    ['allOf', properties({ a: { allOf: [] } }), 'properties.a.allOf', /is not read/],
    ['several types', properties({ a: { type: ['string', 'number'] } }), 'properties.a.type', /is 2 types/],
    ['no type', properties({ a: {} }), 'properties.a.type', /this is left out/],
    ['a name of Object.prototype', properties({ a: { type: 'constructor' } }), 'properties.a.type', /"constructor"/],
    [
      'objects within objects',
      properties({ a: { type: 'object', properties: { b: { type: 'object', properties: {} } } } }),
      'properties.a.properties.b',
      /one level/,
    ],
    [
      'a name with a zero',
      properties({ 'a\0b': { type: 'number' } }),
      'properties["a\\u0000b"]',
      /no control characters/,
    ],
    [
      'half of a character',
      properties({ '\ud800': { type: 'number' } }),
      'properties["\\ud800"]',
      /no half of a character/,
    ],
    [
      'a name too long',
      properties({ ['a'.repeat(limits.modelFieldNameLengthMax + 1)]: { type: 'number' } }),
      expect.any(String),
      /a name has 1 to/,
    ],
    ['no properties', { type: 'object' }, 'properties', /an object of named schemas is expected/],
    ['a list of values', properties({ a: { type: 'array' } }), 'properties.a.items', /a schema is expected/],
    ['a body that is a list', { type: 'array', properties: { a: { type: 'number' } } }, 'type', /must be an object/],
    ['a text', 'model', '', /a schema is expected, this is a string/],
    ['nothing', null, '', /a schema is expected, this is null/],
  ])('%s is refused by its path', (_what, json, path, message) => {
    expect(problemsOf(json)).toContainEqual([path, expect.stringMatching(message)])
  })

  test('a name that JavaScript knows is a name like another', () => {
    const json: unknown = JSON.parse('{"properties":{"__proto__":{"type":"number"},"constructor":{"type":"string"}}}')
    expect(fieldsOf(json)).toEqual(['__proto__: double', 'constructor: string'])
  })
})

describe('a document of many', () => {
  const fields = (count: number): object =>
    properties(Object.fromEntries(Array.from({ length: count }, (_, index) => [`f${index}`, { type: 'number' }])))

  test('has as many fields as may be, and not one more', () => {
    expect(fieldsOf(fields(limits.modelFieldsMax))).toHaveLength(limits.modelFieldsMax)
    expect(problemsOf(fields(limits.modelFieldsMax + 1))).toEqual([
      [`properties.f${limits.modelFieldsMax}`, expect.stringContaining('one field too many')],
    ])
  })

  test('tells the first faults of many, though contents name one schema again and again', () => {
    const bad = { '@id': 'dtmi:a:bad;1', '@type': 'Object', fields: Array.from({ length: 400 }, () => ({ name: 5 })) }
    const contents = Array.from({ length: 1_500 }, (_, index) => telemetry(`t${index}`, 'dtmi:a:bad;1'))
    const document = dtdl(contents, { schemas: [bad] })
    expect(problemsOf(document)).toHaveLength(limits.modelFaultsMax)
    // Nor are they gathered: it would be as many as both numbers multiplied.
    const reader = new DocumentReader()
    readDtdl(document, reader)
    expect(reader.problems.length).toBeLessThan(500)
  })
})
