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
  readonly parameters: readonly Parameter[]
  readonly hasBody: boolean
  /** By status. */
  readonly answers: readonly (readonly [status: string, description: string])[]
}

type Told = Omit<Operation, 'method' | 'path' | 'hasBody' | 'answers'> & {
  readonly requestBody: unknown
  readonly responses: Readonly<Record<string, { readonly description: string | undefined }>>
}

const anything: JsonCheck<unknown> = (value) => value
const told = recordOf<Told>({
  summary: aText,
  description: optional(aText),
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
  requestBody: anything,
  responses: mapOf(recordOf({ description: optional(aText) })),
})
const document = recordOf({ paths: mapOf(mapOf(told)) })

export async function readOperations(signal: AbortSignal): Promise<readonly Operation[]> {
  const { paths } = await json(document, '/openapi.json', { signal })
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { requestBody, responses, ...rest }]) => ({
      ...rest,
      path,
      method: method.toUpperCase(),
      hasBody: requestBody !== undefined,
      answers: Object.entries(responses).map(([status, { description }]) => [status, description ?? ''] as const),
    })),
  )
}

export interface Answer {
  readonly status: number
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly text: string
}

const shownMax = 100_000

/** @throws as `answerOf` */
export async function callOperation(
  { method, path, parameters }: Operation,
  values: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const { address, headers } = requestOf(path, parameters, values)
  const response = await answerOf(address, {
    method: method as 'GET',
    headers: { ...headers, ...(body === '' ? {} : { 'Content-Type': 'application/json; charset=utf-8' }) },
    ...(body !== '' && { text: body }),
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
