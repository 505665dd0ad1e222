/**
 * An Interface of DTDL version 2 or 3, as far as it says what devices send.
 *
 *   contents[]  Telemetry                         a field
 *               Property, Command, Relationship   are no telemetry: left aside, and told
 *               Component, and `extends`          may hold telemetry of another Interface: refused
 *   schema      primitive, point, Enum            a column
 *               Object of these, one level        a column for each of its fields
 *               Array of primitives or Enum       a column of lists
 *               name of one of `schemas`          what stands there
 *               Map, and all else                 refused
 */
import { type DocumentReader, kindOf, pathOf } from '#runtime/document-reader.ts'
import { limits } from '#schemas/limits.ts'
import type { FieldType, ReadModel } from '#schemas/models/model.ts'
import { FieldList, refuse, type ValueType } from './field-list.ts'

const contexts = ['dtmi:dtdl:context;2', 'dtmi:dtdl:context;3']
/** It adds units, which change nothing of a value. */
const unitsContext = /^dtmi:dtdl:extension:quantitativeTypes;\d+$/

/** What people read, and units. */
const told = ['@id', '@type', 'displayName', 'description', 'comment', 'unit']

/** `time` and `duration` are texts: ClickHouse has no types that take all of theirs. */
const primitives: Readonly<Record<string, FieldType>> = {
  boolean: 'boolean',
  integer: 'integer',
  long: 'long',
  float: 'float',
  double: 'double',
  string: 'string',
  date: 'date',
  dateTime: 'dateTime',
  time: 'string',
  duration: 'string',
  point: 'point',
}

const primitiveNames = Object.keys(primitives).join(', ')

/** @param json one Interface, or a list of one. Faults are the reader's */
export function readDtdl(json: unknown, reader: DocumentReader): ReadModel {
  return new DtdlReader(reader).model(onlyInterface(json, reader))
}

function onlyInterface(json: unknown, reader: DocumentReader): unknown {
  if (!Array.isArray(json)) return json
  if (json.length !== 1) reader.fault('', `is a list of ${json.length}: one Interface is read at a time`)
  return json[0]
}

class DtdlReader {
  readonly #reader: DocumentReader
  readonly #list: FieldList
  /** By their ids. */
  readonly #schemas = new Map<string, object>()

  constructor(reader: DocumentReader) {
    this.#reader = reader
    this.#list = new FieldList(reader)
  }

  model(json: unknown): ReadModel {
    const reader = this.#reader
    const root = reader.object('', json, [...told, '@context', 'contents', 'schemas', 'extends'])
    this.#context(root['@context'])
    if (!typesOf(root['@type']).includes('Interface')) reader.fault('@type', 'must be Interface')
    if (root.extends !== undefined) refuse(reader, '', 'extends', 'put the telemetry of that Interface into this one')
    const modelId = reader.text('@id', root['@id'], '')
    if (!/^dtmi:.+;[1-9]\d{0,8}$/.test(modelId) || modelId.length > limits.modelGuardLengthMax)
      reader.fault('@id', 'must be the id of a model: dtmi:com:example:Thermostat;1')
    for (const [index, schema] of reader.list('schemas', root.schemas, limits.modelFieldsMax).entries())
      this.#schema(`schemas[${index}]`, schema)
    for (const [index, content] of reader.list('contents', root.contents, contentsMax).entries())
      this.#content(`contents[${index}]`, content)
    return { kind: 'dtdl', modelId, fields: this.#list.fields, leftAside: this.#list.leftAside }
  }

  #context(value: unknown): void {
    const given = Array.isArray(value) ? value : [value]
    if (!given.some((each) => contexts.includes(each))) {
      const version = given.find((each) => typeof each === 'string' && each.startsWith('dtmi:dtdl:context;'))
      const found = version === undefined ? 'names none' : `names ${version}`
      this.#reader.fault('@context', `${found}; allowed are ${contexts.join(', ')}`)
    }
    for (const each of given) {
      if (typeof each !== 'string') this.#reader.fault('@context', 'must be a text, or a list of texts')
      else if (!each.startsWith('dtmi:dtdl:context;') && !unitsContext.test(each))
        this.#reader.fault('@context', `${each} is not known: it may say anything of a value`)
    }
  }

  #schema(at: string, json: unknown): void {
    const id = isObject(json) ? json['@id'] : undefined
    if (isObject(json) && typeof id === 'string') this.#schemas.set(id, json)
    else this.#reader.fault(pathOf(at, '@id'), 'is needed: contents name a schema by it')
  }

  #content(at: string, json: unknown): void {
    const reader = this.#reader
    const content = isObject(json) ? json : {}
    const types = typesOf(content['@type'])
    const kind = contentKinds.find((each) => types.includes(each))
    if (content !== json) reader.fault(at, `an object is expected, this is ${kindOf(json)}`)
    else if (kind === undefined) reader.fault(pathOf(at, '@type'), `must be one of ${contentKinds.join(', ')}`)
    else if (kind === 'Component')
      reader.fault(at, 'Component is not read: make a model of the Interface that it names')
    else if (kind === 'Telemetry') {
      const { name, schema } = reader.object(at, content, [...told, 'name', 'schema'])
      const known = this.#name(at, name)
      if (known !== undefined) this.#field(pathOf(at, 'schema'), [known], schema)
    } else {
      const name = typeof content.name === 'string' ? content.name.slice(0, limits.modelFieldNameLengthMax) : 'one'
      this.#list.leave(at, `${kind} ${name} is no telemetry`)
    }
  }

  #name(at: string, value: unknown): string | undefined {
    return this.#list.name(pathOf(at, 'name'), value)
  }

  /** A field, or those of an object. */
  #field(at: string, path: readonly string[], given: unknown): void {
    // Many contents may name one schema with many faults.
    if (this.#reader.problems.length >= limits.modelFaultsMax) return
    const schema = this.#found(given)
    const types = isObject(schema) ? typesOf(schema['@type']) : []
    if (!isObject(schema) || !types.includes('Object')) {
      const type = this.#value(at, schema)
      if (type !== undefined) this.#list.add(at, path, type)
      return
    }
    if (path.length > 1) {
      this.#reader.fault(at, 'is an object within an object: one level is read')
      return
    }
    const { fields } = this.#reader.object(at, schema, [...told, 'fields'])
    for (const [index, json] of this.#reader.list(pathOf(at, 'fields'), fields, limits.modelFieldsMax).entries()) {
      const fieldAt = `${pathOf(at, 'fields')}[${index}]`
      const field = this.#reader.object(fieldAt, json, [...told, 'name', 'schema'])
      const name = this.#name(fieldAt, field.name)
      if (name !== undefined) this.#field(pathOf(fieldAt, 'schema'), [...path, name], field.schema)
    }
  }

  #value(at: string, given: unknown): ValueType | undefined {
    const schema = this.#found(given)
    if (typeof schema === 'string') return this.#primitive(at, schema)
    const types = isObject(schema) ? typesOf(schema['@type']) : []
    if (types.includes('Array')) {
      const { elementSchema } = this.#reader.object(at, schema, [...told, 'elementSchema'])
      const itemAt = pathOf(at, 'elementSchema')
      const item = this.#value(itemAt, elementSchema)
      if (item === undefined) return undefined
      if (!item.isList && item.type !== 'point') return { type: item.type, isList: true }
      this.#reader.fault(itemAt, 'lists of lists and of points are not read')
    } else if (types.includes('Enum')) {
      return { type: this.#enumType(at, schema), isList: false }
    } else {
      const what = types.length === 0 ? kindOf(schema) : types.join(', ')
      this.#reader.fault(at, `${what} is not read; allowed are ${primitiveNames}, Enum, Object and Array`)
    }
    return undefined
  }

  /** Messages have the value of each, and not its name. */
  #enumType(at: string, schema: unknown): FieldType {
    const { valueSchema } = this.#reader.object(at, schema, [...told, 'valueSchema', 'enumValues'])
    if (valueSchema === 'integer') return 'integer'
    if (valueSchema !== 'string') this.#reader.fault(pathOf(at, 'valueSchema'), 'must be integer or string')
    return 'enum'
  }

  #primitive(at: string, name: string): ValueType | undefined {
    const type = Object.hasOwn(primitives, name) ? primitives[name] : undefined
    if (type !== undefined) return { type, isList: false }
    this.#reader.fault(at, `${name} is not read; allowed are ${primitiveNames}, and the id of one of schemas`)
    return undefined
  }

  /** What a name of one of `schemas` stands for. */
  #found(schema: unknown): unknown {
    return (typeof schema === 'string' ? this.#schemas.get(schema) : undefined) ?? schema
  }
}

const contentKinds = ['Telemetry', 'Component', 'Property', 'Command', 'Relationship'] as const
/** Properties and commands stand between telemetry. */
const contentsMax = 4 * limits.modelFieldsMax

function typesOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value]
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
