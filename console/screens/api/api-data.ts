/** What this installation serves, as its OpenAPI document says. */
import { answerOf, json } from '#console/data/call.ts'
import { aBoolean, aText, type JsonCheck, listOf, mapOf, optional, recordOf } from '#runtime/json-check.ts'

export interface Parameter {
  readonly name: string
  /** path, query or header. */
  readonly in: string
  readonly required: boolean | undefined
  readonly description: string | undefined
}

export interface Operation {
  readonly method: string
  readonly path: string
  readonly summary: string
  readonly description: string | undefined
  /** By what it is about: the first part of its path. */
  readonly group: string
  readonly parameters: readonly Parameter[]
  /** `undefined`: it takes none. */
  readonly body: BodyAsked | undefined
  /** By status. */
  readonly answers: readonly (readonly [status: string, description: string])[]
}

interface BodyAsked {
  readonly type: string
  /** Text of its form, with nothing in it; empty where it is no JSON. */
  readonly form: string
}

interface Told {
  readonly summary: string
  readonly description: string | undefined
  readonly tags: readonly string[]
  readonly parameters: readonly Parameter[]
  readonly requestBody: { readonly content: Readonly<Record<string, { readonly schema: unknown }>> } | undefined
  readonly responses: Readonly<Record<string, AnswerTold>>
}

interface AnswerTold {
  readonly description: string | undefined
  /** Where it is told, if not here. */
  readonly $ref: string | undefined
}

const anything: JsonCheck<unknown> = (value) => value
const answerTold = recordOf<AnswerTold>({ description: optional(aText), $ref: optional(aText) })
const told = recordOf<Told>({
  summary: aText,
  description: optional(aText),
  tags: listOf(aText),
  parameters: (value) =>
    optional(
      listOf(
        recordOf<Parameter>({
          name: aText,
          in: aText,
          required: optional(aBoolean),
          description: optional(aText),
        }),
      ),
    )(value) ?? [],
  requestBody: optional(recordOf({ content: mapOf(recordOf({ schema: anything })) })),
  responses: mapOf(answerTold),
})
const components = recordOf({ schemas: mapOf(anything), responses: mapOf(answerTold) })
const document = recordOf({ paths: mapOf(mapOf(told)), components })

export async function readOperations(signal: AbortSignal): Promise<readonly Operation[]> {
  const { paths, components } = await json(document, '/openapi.json', { signal })
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { summary, description, tags, parameters, requestBody, responses }]) => ({
      ...{ summary, description, parameters, path },
      method: method.toUpperCase(),
      group: tags.join(' '),
      body: requestBody && bodyAsked(requestBody.content, components.schemas),
      answers: Object.entries(responses).map(([status, answer]) => {
        const { description = '' } = components.responses[nameIn(answer.$ref)] ?? answer
        return [status, description] as const
      }),
    })),
  )
}

function bodyAsked(
  content: NonNullable<Told['requestBody']>['content'],
  schemas: Readonly<Record<string, unknown>>,
): BodyAsked | undefined {
  const [first] = Object.entries(content)
  if (first === undefined) return undefined
  const [type, { schema }] = first
  return { type, form: type === 'application/json' ? JSON.stringify(formOf(schema, schemas), undefined, 2) : '' }
}

const formDepthMax = 6

/** A value of the form that a schema asks for, for somebody to fill in. */
export function formOf(schema: unknown, schemas: Readonly<Record<string, unknown>>, depth = 0): unknown {
  if (typeof schema !== 'object' || schema === null || depth > formDepthMax) return null
  const { $ref, anyOf, enum: choices, type, properties, items, format } = schema as Readonly<Record<string, unknown>>
  const inner = (value: unknown): unknown => formOf(value, schemas, depth + 1)
  if (typeof $ref === 'string') return inner(schemas[nameIn($ref)])
  if (Array.isArray(anyOf)) return inner(anyOf[0])
  if (Array.isArray(choices)) return choices[0]
  switch (type) {
    case 'object':
      return Object.fromEntries(Object.entries(properties ?? {}).map(([name, value]) => [name, inner(value)]))
    case 'array':
      return items === undefined ? [] : [inner(items)]
    case 'string':
      return format === 'date-time' ? '2026-01-31T12:00:00Z' : ''
    case 'integer':
    case 'number':
      return 0
    case 'boolean':
      return false
    default:
      return null
  }
}

/** The last part of a reference. */
function nameIn(reference = ''): string {
  return reference.slice(reference.lastIndexOf('/') + 1)
}

export interface Answer {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly text: string
}

const shownMax = 100_000

/** @throws as `answerOf` */
export async function callOperation(
  { method, path, parameters, body }: Operation,
  values: Readonly<Record<string, string>>,
  typed: string,
  signal: AbortSignal,
): Promise<Answer> {
  const { address, headers } = requestOf(path, parameters, values)
  const response = await answerOf(address, {
    method: method as 'GET',
    headers: { ...(body !== undefined && typed !== '' && { 'Content-Type': body.type }), ...headers },
    ...(typed !== '' && { text: typed }),
    signal,
  })
  const text = await response.text()
  return { status: response.status, headers: [...response.headers], text: indented(text).slice(0, shownMax) }
}

/** Where a request goes: path and query with what was typed, encoded; headers as typed. What is empty is left out. */
export function requestOf(
  path: string,
  parameters: readonly Parameter[],
  values: Readonly<Record<string, string>>,
): { readonly address: string; readonly headers: Readonly<Record<string, string>> } {
  const query = new URLSearchParams()
  const headers: Record<string, string> = {}
  let address = path
  for (const { name, in: place } of parameters) {
    const value = values[name] ?? ''
    if (place === 'path') address = address.replace(`{${name}}`, encodeURIComponent(value))
    else if (value !== '' && place === 'query') query.set(name, value)
    else if (value !== '' && place === 'header') headers[name] = value
  }
  return { address: query.size === 0 ? address : `${address}?${query}`, headers }
}

function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), undefined, 2)
  } catch {
    return text
  }
}
