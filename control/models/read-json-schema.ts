/**
 * A JSON Schema, as far as it names the fields of an object.
 *
 *   properties    boolean, integer, number, string     a column; so are `enum` of texts, `format` date and date-time
 *                 object of these, one level           a column for each of its properties
 *                 array of one of these                a column of lists
 *                 … or null: ["number", "null"], anyOf or oneOf with {"type": "null"}
 *   $ref, allOf, further branches, objects without properties   refused
 *
 * Bounds, texts and defaults say nothing of a column, and are passed over.
 */
import { type DocumentReader, kindOf, pathOf } from '#runtime/document-reader.ts'
import { limits } from '#schemas/limits.ts'
import type { FieldType, ReadModel } from '#schemas/models/model.ts'
import { FieldList, refuse, type ValueType } from './field-list.ts'

type Schema = Readonly<Record<string, unknown>>

const types: Readonly<Record<string, FieldType>> = {
  boolean: 'boolean',
  integer: 'long',
  number: 'double',
  string: 'string',
}

/** What they say of a value does not stand in the schema itself, or is said in several ways. */
const refused: Readonly<Record<string, string>> = {
  $ref: 'put what it names in its place',
  $dynamicRef: 'put what it names in its place',
  allOf: 'give one schema',
  not: 'say what the value is',
  if: 'give one schema',
  patternProperties: 'name each property',
  prefixItems: 'lists have items of one kind',
}

/** @param json the schema of a body. Faults are the reader's */
export function readJsonSchema(json: unknown, reader: DocumentReader): ReadModel {
  const schemas = new JsonSchemaReader(reader)
  schemas.root(json)
  return { kind: 'jsonSchema', modelId: undefined, fields: schemas.list.fields, leftAside: schemas.list.leftAside }
}

class JsonSchemaReader {
  readonly list: FieldList
  readonly #reader: DocumentReader

  constructor(reader: DocumentReader) {
    this.#reader = reader
    this.list = new FieldList(reader)
  }

  root(json: unknown): void {
    const schema = this.#schema('', json)
    if (schema === undefined) return
    if (schema.type !== undefined && schema.type !== 'object') this.#reader.fault('type', 'a body must be an object')
    this.#properties('', [], schema)
  }

  #properties(at: string, path: readonly string[], { properties }: Schema): void {
    const propertiesAt = pathOf(at, 'properties')
    if (!isObject(properties))
      this.#reader.fault(propertiesAt, `an object of named schemas is expected, this is ${kindOf(properties)}`)
    for (const [given, json] of Object.entries(isObject(properties) ? properties : {})) {
      const fieldAt = memberOf(propertiesAt, given)
      const name = this.list.name(fieldAt, given)
      if (name !== undefined) this.#field(fieldAt, [...path, name], json)
    }
  }

  #field(at: string, path: readonly string[], json: unknown): void {
    const schema = this.#schema(at, json)
    if (schema === undefined) return
    if (schema.type === 'object') {
      if (path.length > 1) this.#reader.fault(at, 'is an object within an object: one level is read')
      else this.#properties(at, path, schema)
      return
    }
    const type = this.#value(at, schema)
    if (type !== undefined) this.list.add(at, path, type)
  }

  #value(at: string, schema: Schema): ValueType | undefined {
    const { type = typeOfEnum(schema), format } = schema
    if (type === 'array') {
      const itemsAt = pathOf(at, 'items')
      const items = this.#schema(itemsAt, schema.items)
      const item = items && this.#value(itemsAt, items)
      if (item?.isList) this.#reader.fault(itemsAt, 'lists of lists are not read')
      return item && !item.isList ? { type: item.type, isList: true } : undefined
    }
    const known = typeof type === 'string' && Object.hasOwn(types, type) ? types[type] : undefined
    if (known === undefined) {
      const allowed = [...Object.keys(types), 'array', 'object'].join(', ')
      this.#reader.fault(pathOf(at, 'type'), `allowed are ${allowed}, this is ${shown(type)}`)
      return undefined
    }
    return { type: known === 'string' ? textType(format, schema.enum) : known, isList: false }
  }

  /** The schema of a value that is there: without what says that it may be null. */
  #schema(at: string, json: unknown): Schema | undefined {
    if (!isObject(json)) {
      this.#reader.fault(at, `a schema is expected, this is ${kindOf(json)}`)
      return undefined
    }
    const faults = Object.keys(json).filter((name) => Object.hasOwn(refused, name))
    for (const name of faults) refuse(this.#reader, at, name, refused[name] ?? '')
    if (faults.length > 0) return undefined
    const branches = json.anyOf ?? json.oneOf
    if (branches !== undefined) return this.#branch(pathOf(at, json.anyOf === undefined ? 'oneOf' : 'anyOf'), branches)
    if (!Array.isArray(json.type)) return json
    const given = json.type.filter((each) => each !== 'null')
    // A whole number is a number.
    const rest = given.includes('number') ? given.filter((each) => each !== 'integer') : given
    if (rest.length === 1) return { ...json, type: rest[0] }
    this.#reader.fault(pathOf(at, 'type'), `is ${rest.length} types: one is read, with or without null`)
    return undefined
  }

  #branch(at: string, branches: unknown): Schema | undefined {
    const given = this.#reader.list(at, branches, limits.modelFieldsMax)
    const rest = given.filter((each) => !isObject(each) || each.type !== 'null')
    const [only] = rest
    if (rest.length !== 1) {
      this.#reader.fault(at, `has ${rest.length} branches: one is read, with or without null`)
      return undefined
    }
    if (isObject(only) && (only.anyOf ?? only.oneOf) === undefined)
      return this.#schema(`${at}[${given.indexOf(only)}]`, only)
    this.#reader.fault(at, 'branches within branches are not read')
    return undefined
  }
}

function textType(format: unknown, texts: unknown): FieldType {
  if (Array.isArray(texts)) return 'enum'
  return format === 'date-time' ? 'dateTime' : format === 'date' ? 'date' : 'string'
}

/** An `enum` of texts needs no type. */
function typeOfEnum({ enum: values }: Schema): string | undefined {
  return Array.isArray(values) && values.every((each) => typeof each === 'string' || each === null)
    ? 'string'
    : undefined
}

/** A member whatever its name: `properties["a b"]`. */
function memberOf(path: string, name: string): string {
  return /^[A-Za-z_]\w*$/.test(name) ? pathOf(path, name) : `${path}[${JSON.stringify(name)}]`
}

function shown(type: unknown): string {
  return typeof type === 'string' ? JSON.stringify(type.slice(0, 80)) : kindOf(type)
}

function isObject(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
