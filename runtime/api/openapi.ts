/** A document about an API (OpenAPI 3.1), made from what its routes say of themselves. */
import type { Shape } from './shapes.ts'
import type { AnswerTold, BodyTold, RouteTold } from './told.ts'

export interface ListedRoute {
  readonly method: string
  /** As the router has it. */
  readonly pattern: string
  readonly told: RouteTold
}

export interface ApiOptions {
  readonly title: string
  readonly version: string
  readonly description: string
  /** How whoever is asked for a right proves itself, as a security scheme. */
  readonly security: Shape
}

type Json = Readonly<Record<string, unknown>>

const schemeName = 'authorization'

/** @throws TypeError if two routes are one, or two shapes have one title */
export function openApiOf(options: ApiOptions, routes: readonly ListedRoute[]): Json {
  const named = new NamedShapes()
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of routes) {
    const path = pathOf(route.pattern)
    const method = route.method.toLowerCase()
    if (paths[path]?.[method] !== undefined) throw new TypeError(`${route.method} ${path} is told twice`)
    paths[path] = { ...paths[path], [method]: operationOf(route, named) }
  }
  const { title, version, description, security } = options
  return {
    openapi: '3.1.0',
    info: { title, version, description, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: '/' }],
    paths: sorted(paths),
    components: {
      securitySchemes: { [schemeName]: security },
      schemas: sorted(named.shapes),
      responses: sorted(named.answers),
    },
  }
}

/** Segments `:name` are parameters. */
function pathOf(pattern: string): string {
  return pattern.replaceAll(/:(\w+)/g, '{$1}')
}

function operationOf({ method, pattern, told }: ListedRoute, named: NamedShapes): Json {
  const { summary, query = {}, headers = {}, asked, answered, allowed } = told
  const [, tag = ''] = pattern.split('/')
  const parameters = [
    ...[...pattern.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: 'path',
      required: true,
      schema: { type: 'string' },
    })),
    ...Object.entries(query).map(([name, description]) => parameterOf('query', name, description)),
    ...Object.entries(headers).map(([name, description]) => parameterOf('header', name, description)),
  ]
  return {
    operationId: operationIdOf(method, pattern),
    summary,
    tags: [tag],
    ...(allowed !== undefined && { description: `Allowed: ${allowed}.` }),
    ...(parameters.length > 0 && { parameters }),
    ...(asked && { requestBody: { required: true, content: contentOf(asked, named) } }),
    responses: Object.fromEntries(Object.entries(answered).map(([status, answer]) => [status, named.answer(answer)])),
    security: allowed === undefined ? [] : [{ [schemeName]: [] }],
  }
}

function parameterOf(place: string, name: string, description: string): Json {
  return { name, in: place, required: false, description, schema: { type: 'string' } }
}

/** `getDevicesDevice` for GET /devices/:device. */
function operationIdOf(method: string, pattern: string): string {
  const words = pattern.split('/').flatMap((segment) => segment.split(/[^A-Za-z0-9]+/))
  const name = words.map((word) => word.slice(0, 1).toUpperCase() + word.slice(1)).join('')
  // A path may be spelled with a slash at its end, which is a route of its own.
  return `${method.toLowerCase()}${name}${pattern.endsWith('/') ? '_' : ''}`
}

function answerOf({ description, body, headers }: AnswerTold, named: NamedShapes): Json {
  const told = Object.entries(headers ?? {}).map(
    ([name, meaning]) => [name, { description: meaning, schema: { type: 'string' } }] as const,
  )
  return {
    description,
    ...(body && { content: contentOf(body, named) }),
    ...(told.length > 0 && { headers: Object.fromEntries(told) }),
  }
}

function contentOf({ contentType, shape }: BodyTold, named: NamedShapes): Json {
  return { [contentType]: { schema: named.hoisted(shape) } }
}

/** Shapes and answers with a title, each once. */
class NamedShapes {
  readonly shapes: Record<string, unknown> = {}
  readonly answers: Record<string, unknown> = {}

  answer(told: AnswerTold): Json {
    const answer = answerOf(told, this)
    return told.title === undefined ? answer : referenceTo('responses', this.answers, told.title, answer)
  }

  /** The shape, with references in place of what has a title. */
  hoisted(shape: unknown): unknown {
    if (Array.isArray(shape)) return shape.map((item: unknown) => this.hoisted(item))
    if (typeof shape !== 'object' || shape === null) return shape
    const inner = Object.fromEntries(Object.entries(shape).map(([name, value]) => [name, this.hoisted(value)]))
    const { title } = inner
    if (typeof title !== 'string') return inner
    return referenceTo('schemas', this.shapes, title, inner)
  }
}

/** @throws TypeError if another one has this title */
function referenceTo(kind: string, all: Record<string, unknown>, title: string, one: unknown): Json {
  const known = all[title] ?? one
  if (JSON.stringify(known) !== JSON.stringify(one)) throw new TypeError(`two ${kind} are called ${title}`)
  all[title] = one
  return { $ref: `#/components/${kind}/${title}` }
}

function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)))
}
