/** Judges requests and answers by a document about the API (OpenAPI 3.1): what they hold that it does not tell is wrong, too. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { assert } from '#runtime/assert.ts'

interface Told {
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<Record<string, Answer>>
}

type Content = Readonly<Record<string, object>>
type Answer = { readonly $ref?: string; readonly content?: Content }
type Paths = Readonly<Record<string, Readonly<Record<string, Told>>>>

export interface JudgedAnswer {
  readonly status: number
  readonly contentType: string | undefined
  readonly text: string
}

export class ApiAnswers {
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  readonly #paths: Paths
  readonly #seen = new Set<string>()

  constructor(document: unknown) {
    const closed = closedShapes(document) as { readonly paths: Paths }
    this.#paths = closed.paths
    this.#ajv.addSchema(closed, 'api')
  }

  /** Operations of which no answer was judged that says that they were carried out. */
  get unseen(): string[] {
    const all = Object.entries(this.#paths).flatMap(([path, told]) =>
      Object.keys(told).map((method) => `${method} ${path}`),
    )
    return all.filter((operation) => !this.#seen.has(operation))
  }

  /** What is wrong with them; empty: nothing. @param path as it was asked for, without a query */
  faultsOf(method: string, path: string, body: unknown, answer: JudgedAnswer): string[] {
    const template = this.#templateOf(method, path)
    if (template === undefined) return [`${method} ${path} is no operation`]
    const name = method.toLowerCase()
    const told = this.#paths[template]?.[name]
    if (told === undefined) return [`${method} ${template} is not told`]
    const onlyRefuses = Object.keys(told.responses).every((status) => Number(status) >= 400)
    if (answer.status < 300 || onlyRefuses) this.#seen.add(`${name} ${template}`)
    const at = `api#/paths/${pointer(template)}/${name}`
    const asked = told.requestBody?.content['application/json']
    return [
      ...(asked && answer.status < 300 ? this.#faults(`${at}/requestBody/content/application~1json/schema`, body) : []),
      ...this.#faultsOfAnswer(at, told, answer),
    ].map((fault) => `${method} ${path} (${answer.status}): ${fault}`)
  }

  #faultsOfAnswer(at: string, { responses }: Told, { status, contentType, text }: JudgedAnswer): string[] {
    const told = responses[String(status)]
    if (told === undefined) return ['a status that is not told']
    const [place, answer] =
      told.$ref === undefined
        ? [`${at}/responses/${status}`, told]
        : [`api${told.$ref}`, this.#ajv.getSchema(`api${told.$ref}`)?.schema as Answer]
    const [type = ''] = contentType?.split(';') ?? []
    if (answer.content === undefined) return text === '' ? [] : ['a body that is not told']
    if (answer.content[type] === undefined) return [`${type} is not told`]
    if (!/[/+.]json$/.test(type)) return []
    return this.#faults(`${place}/content/${pointer(type)}/schema`, JSON.parse(text))
  }

  #faults(place: string, value: unknown): string[] {
    const validate = this.#ajv.getSchema(place) as ValidateFunction | undefined
    assert(validate !== undefined, `${place} is a schema`)
    if (validate(value)) return []
    return (validate.errors ?? []).map(
      ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
    )
  }

  /** A literal segment wins over a parameter, as with the router. */
  #templateOf(method: string, path: string): string | undefined {
    const segments = path.split('/')
    const fits = Object.keys(this.#paths).filter((template) => {
      const told = template.split('/')
      if (told.length !== segments.length || this.#paths[template]?.[method.toLowerCase()] === undefined) return false
      return told.every((segment, index) =>
        segment.startsWith('{') ? segments[index] !== '' : segment === segments[index],
      )
    })
    return fits.sort((one, other) => one.split('{').length - other.split('{').length)[0]
  }
}

function pointer(name: string): string {
  return encodeURIComponent(name.replaceAll('~', '~0').replaceAll('/', '~1'))
}

/** Objects hold what is told of them, and nothing else. */
function closedShapes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closedShapes)
  if (typeof value !== 'object' || value === null) return value
  const closed = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, closedShapes(inner)]))
  return closed.type === 'object' && 'properties' in closed ? { additionalProperties: false, ...closed } : closed
}
