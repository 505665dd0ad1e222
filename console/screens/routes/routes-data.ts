/** The document of routes (docs/ROUTING.md), as the public REST API reads and writes it. */
import { answerOf, CallFault, json, send } from '#console/data/call.ts'
import type { Document } from '#console/data/devices.ts'
import {
  aBoolean,
  aNumber,
  aText,
  type JsonCheck,
  listOf,
  mapOf,
  oneOf,
  optional,
  recordOf,
} from '#runtime/json-check.ts'

export interface Route {
  readonly name: string
  readonly source: string
  readonly condition: string
  readonly endpointNames: readonly string[]
  readonly isEnabled: boolean
}

export interface Routing {
  readonly etag: string
  readonly routes: readonly Route[]
  readonly fallbackRoute: Document | undefined
  readonly endpoints: readonly { readonly name: string; readonly kind: string; readonly isEnabled: boolean }[]
  /** All of it, to be sent back; secrets only say that they are set, and stay as they are. */
  readonly whole: Document
}

/** Lines and columns begin at 1. */
export interface Place {
  readonly start: { readonly line: number; readonly column: number }
  readonly end: { readonly line: number; readonly column: number }
}

export interface Problem {
  readonly path: string
  readonly message: string
  readonly severity: 'error' | 'warning'
  readonly location: Place | undefined
}

const anything: JsonCheck<unknown> = (value) => value
const document: JsonCheck<Document> = mapOf(anything)
const point = recordOf({ line: aNumber, column: aNumber })
const place = optional(recordOf<Place>({ start: point, end: point }))
const severity = oneOf('error', 'warning')
const orDefault =
  <T>(check: JsonCheck<T>, fallback: T): JsonCheck<T> =>
  (value) =>
    value === undefined ? fallback : check(value)

const routing = recordOf<Omit<Routing, 'etag' | 'whole'>>({
  routes: listOf(
    recordOf<Route>({
      name: aText,
      source: aText,
      condition: orDefault(aText, 'true'),
      endpointNames: listOf(aText),
      isEnabled: orDefault(aBoolean, true),
    }),
  ),
  fallbackRoute: optional(document),
  endpoints: listOf(recordOf({ name: aText, kind: aText, isEnabled: orDefault(aBoolean, true) })),
})

export const sources: readonly (readonly [source: string, text: string])[] = [
  ['DeviceMessages', 'Messages of devices'],
  ['DeviceLifecycleEvents', 'Devices that are made and deleted'],
  ['DeviceConnectionStateEvents', 'Devices that connect and disconnect'],
  ['TwinChangeEvents', 'Twins that change'],
]

/** For people. One that this console does not know yet is as it is. */
export function sourceText(source: string): string {
  return sources.find(([known]) => known === source)?.[1] ?? source
}

export async function readRouting(signal?: AbortSignal): Promise<Routing> {
  const response = await answerOf('/routing', { signal })
  const whole: unknown = await response.json()
  return { ...routing(whole), etag: response.headers.get('etag') ?? '*', whole: document(whole) }
}

/** @throws CallFault with every reason; with status 412 where somebody else changed it meanwhile */
export async function writeRouting(changed: unknown, etag: string, signal: AbortSignal): Promise<void> {
  try {
    await send('/routing', { method: 'PUT', body: changed, headers: { 'If-Match': etag }, signal })
  } catch (error) {
    if (!(error instanceof CallFault) || error.status !== 412) throw error
    throw new CallFault(412, error.code, 'Somebody changed the routes meanwhile. Reload, and change them again.')
  }
}

/** The document with one route put in the place of `before`, taken away, or put at the end. */
export function withRoute({ whole, routes }: Routing, before: string | undefined, route: Route | undefined): Document {
  const given = Array.isArray(whole.routes) ? (whole.routes as unknown[]) : []
  const at = routes.findIndex(({ name }) => name === before)
  const changed = given.map((each, index) => (index === at ? route : each)).filter((each) => each !== undefined)
  if (at < 0 && route !== undefined) changed.push(route)
  return { ...whole, routes: changed }
}

const problems = recordOf<{ readonly problems: readonly Problem[] }>({
  problems: listOf(recordOf<Problem>({ path: aText, message: aText, severity, location: place })),
})

/** Every fault of a document; nothing changes. */
export async function problemsOf(changed: unknown, signal: AbortSignal): Promise<readonly Problem[]> {
  return (await json(problems, '/routing?validate', { method: 'PUT', body: changed, signal })).problems
}

/** A message to try a condition on, in the hub's form. */
export interface TestMessage {
  readonly body: string
  readonly appProperties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
}

export interface Verdict {
  readonly result: string
  readonly problems: readonly Omit<Problem, 'path'>[]
  readonly reason: string | undefined
  readonly steps: readonly {
    readonly text: string
    readonly value: string
    readonly reason: string | undefined
  }[]
}

const explanation = recordOf<Pick<Verdict, 'reason' | 'steps'>>({
  reason: optional(aText),
  steps: listOf(recordOf({ text: aText, value: aText, reason: optional(aText) })),
})
const verdict = recordOf({
  result: aText,
  details: recordOf({
    compilationErrors: listOf(recordOf({ message: aText, severity, location: place })),
  }),
  explanation: optional(explanation),
})

export async function verdictOf(
  { condition, source }: Pick<Route, 'condition' | 'source'>,
  message: TestMessage,
  signal: AbortSignal,
): Promise<Verdict> {
  const body = { source, message, route: { condition } }
  const answer = await json(verdict, '/routing/test', { method: 'POST', body, signal })
  return {
    result: answer.result,
    problems: answer.details.compilationErrors,
    reason: answer.explanation?.reason,
    steps: answer.explanation?.steps ?? [],
  }
}

export function documentText({ whole }: Pick<Routing, 'whole'>): string {
  return JSON.stringify(whole, undefined, 2)
}

/**
 * What an editor shows of the document once it is in force.
 * @param saved the text that was put in force: what was typed since is kept; `undefined`: nothing is
 */
export function textInForce(typed: string, saved: string | undefined, routing: Pick<Routing, 'whole'>): string {
  return saved === undefined || typed === saved ? documentText(routing) : typed
}
