/** Shapes of JSON, as JSON Schema of 2020-12 has them, for documents about an API. One with a title is named in the document by it. */
export type Shape = Readonly<Record<string, unknown>>

export const aText: Shape = { type: 'string' }
/** ISO 8601. */
export const aTime: Shape = { type: 'string', format: 'date-time' }
export const aCount: Shape = { type: 'integer', minimum: 0 }
export const aNumber: Shape = { type: 'number' }
export const aFlag: Shape = { type: 'boolean' }
export const anything: Shape = {}
/** Of fields that are not told. */
export const anObject: Shape = { type: 'object', additionalProperties: true }
/** UTC milliseconds. */
export const aMoment: Shape = { type: 'integer', description: 'UTC milliseconds' }

export function choiceOf(texts: readonly string[]): Shape {
  return { type: 'string', enum: texts }
}

export function orNull(shape: Shape): Shape {
  return { anyOf: [shape, { type: 'null' }] }
}

export function listOf(shape: Shape): Shape {
  return { type: 'array', items: shape }
}

export function mapOf(shape: Shape): Shape {
  return { type: 'object', additionalProperties: shape }
}

export function recordOf(
  fields: Readonly<Record<string, Shape>>,
  optional: Readonly<Record<string, Shape>> = {},
): Shape {
  const required = Object.keys(fields)
  return { type: 'object', properties: { ...fields, ...optional }, ...(required.length > 0 && { required }) }
}

export function named(title: string, shape: Shape): Shape {
  return { title, ...shape }
}

/** With what it means. */
export function meaning(description: string, shape: Shape): Shape {
  return { ...shape, description }
}
