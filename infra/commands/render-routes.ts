/** What REST answers about routes and endpoints, as lines of text. */

export interface EndpointHealthDocument {
  readonly endpointId: string
  readonly healthStatus: string
  readonly lastKnownError?: string
  readonly partitions: readonly { readonly behind: number; readonly ageMs: number; readonly revisionFrom: number }[]
  readonly routers: number
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
  const fault = healthStatus === 'healthy' || lastKnownError === undefined ? '' : `\t${lastKnownError}`
  return `${endpointId}\t${healthStatus}\t${state}${fault}`
}

export interface Problem {
  readonly path: string
  readonly message: string
  readonly severity: string
  readonly location?: { readonly start: { readonly line: number; readonly column: number } }
}

export function problemLine({ path, message, severity, location }: Problem): string {
  const place = location === undefined ? '' : ` line ${location.start.line} column ${location.start.column}`
  return `${severity}: ${path}${place}: ${message}`
}

export interface ConditionTest {
  readonly result: string
  readonly details: { readonly compilationErrors: readonly Omit<Problem, 'path'>[] }
  readonly explanation?: {
    readonly reason?: string
    readonly steps: readonly { readonly text: string; readonly value: string; readonly reason?: string }[]
  }
}

/** Faults of a condition; or the value of each of its parts, and then its verdict. */
export function testLines({ result, details, explanation }: ConditionTest): string[] {
  const problems = details.compilationErrors.map((problem) => problemLine({ path: 'condition', ...problem }))
  const steps = (explanation?.steps ?? []).map(
    ({ text, value, reason }) => `  ${text} is ${value}${reason === undefined ? '' : ` (${reason})`}`,
  )
  return [...problems, ...steps, ...(explanation === undefined ? [] : [result])]
}
