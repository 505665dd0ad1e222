/** What REST answers about routes and endpoints: how it is checked, and as lines of text. */
import { aBoolean, aCount, aText, type JsonCheck, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import { builtInShows } from '#schemas/routing/routing.ts'

/** The document is shown as it came. */
export const shown: JsonCheck<unknown> = (value) => value

const endpointHealth = recordOf({
  endpointId: aText,
  healthStatus: aText,
  lastKnownError: optional(aText),
  partitions: listOf(recordOf({ behind: aCount, ageMs: aCount, isFallingBehind: optional(aBoolean) })),
  routers: aCount,
})
export type EndpointHealthDocument = ReturnType<typeof endpointHealth>
const builtIn = recordOf({ name: aText, shows: oneOf(...builtInShows) })
/** An older control role says nothing of the built-in one. */
export const endpointsHealth = recordOf({ endpoints: listOf(endpointHealth), builtIn: optional(builtIn) })

/** Of the endpoint that is none of the document's. */
export function builtInLine({ name, shows }: ReturnType<typeof builtIn>): string {
  const shown = shows === 'routed' ? 'what routes send there' : 'everything, whatever routes send there'
  return `${name}\tbuilt in\tits readers are shown ${shown}`
}

/** `name  status  records behind, age of the oldest  the last error` */
export function healthLine({
  endpointId,
  healthStatus,
  lastKnownError,
  partitions,
  routers,
}: EndpointHealthDocument): string {
  const behind = partitions.reduce((sum, partition) => sum + partition.behind, 0)
  const ageSeconds = Math.round(Math.max(0, ...partitions.map(({ ageMs }) => ageMs)) / 1000)
  const state =
    routers === 0
      ? 'no router runs'
      : behind === 0
        ? 'up to date'
        : `${behind} records behind, the oldest ${ageSeconds} s`
  const loss = partitions.some(({ isFallingBehind }) => isFallingBehind === true)
    ? ', about to lose what retention removes'
    : ''
  const fault = healthStatus === 'healthy' || lastKnownError === undefined ? '' : `\t${lastKnownError}`
  return `${endpointId}\t${healthStatus}\t${state}${loss}${fault}`
}

const location = recordOf({ start: recordOf({ line: aCount, column: aCount }) })
const problem = recordOf({ path: aText, message: aText, severity: aText, location: optional(location) })
export type Problem = ReturnType<typeof problem>

/** What is wrong with a document, and how it would be shown. */
export const validation = recordOf({ isValid: aBoolean, problems: listOf(problem), document: shown })

export function problemLine({ path, message, severity, location }: Problem): string {
  const place = location === undefined ? '' : ` line ${location.start.line} column ${location.start.column}`
  return `${severity}: ${path}${place}: ${message}`
}

export const conditionTest = recordOf({
  result: aText,
  details: recordOf({
    compilationErrors: listOf(recordOf({ message: aText, severity: aText, location: optional(location) })),
  }),
  explanation: optional(recordOf({ steps: listOf(recordOf({ text: aText, value: aText, reason: optional(aText) })) })),
})
export type ConditionTest = ReturnType<typeof conditionTest>

export const routesThatTake = recordOf({
  routes: listOf(recordOf({ name: aText, endpointNames: listOf(aText) })),
})

const route = {
  condition: aText,
  endpointNames: listOf(aText),
  isEnabled: aBoolean,
}

/** The document in force, as far as it is listed. */
export const listedDocument = recordOf({
  routes: listOf(recordOf({ name: aText, source: aText, ...route })),
  fallbackRoute: optional(recordOf(route)),
})

/** Faults of a condition; or the value of each of its parts, and then its verdict. */
export function testLines({ result, details, explanation }: ConditionTest): string[] {
  const problems = details.compilationErrors.map((problem) => problemLine({ path: 'condition', ...problem }))
  const steps = (explanation?.steps ?? []).map(stepLine)
  return [...problems, ...steps, ...(explanation === undefined ? [] : [result])]
}

interface StepText {
  readonly text: string
  readonly value: string
  readonly reason?: string | undefined
}

/** One part of a condition, and what it came to. */
export function stepLine({ text, value, reason }: StepText): string {
  return `  ${text} is ${value}${reason === undefined ? '' : ` (${reason})`}`
}
