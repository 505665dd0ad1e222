/** How endpoints of routes do. */
import { aNumber, aText, listOf, optional, recordOf } from '#runtime/json-check.ts'
import { json } from './call.ts'

export interface EndpointState {
  readonly endpointId: string
  /** unknown, healthy, degraded, unhealthy or dead. */
  readonly healthStatus: string
  readonly lastKnownError: string | undefined
  readonly lastKnownErrorAtMs: number | undefined
  readonly lastSuccessfulSendAttemptAtMs: number | undefined
  readonly partitions: readonly { readonly behind: number; readonly ageMs: number }[]
}

const check = recordOf({
  endpoints: listOf(
    recordOf<EndpointState>({
      endpointId: aText,
      healthStatus: aText,
      lastKnownError: optional(aText),
      lastKnownErrorAtMs: optional(aNumber),
      lastSuccessfulSendAttemptAtMs: optional(aNumber),
      partitions: listOf(recordOf({ behind: aNumber, ageMs: aNumber })),
    }),
  ),
  builtIn: recordOf({ name: aText, shows: aText }),
})

export async function readEndpoints(signal: AbortSignal): Promise<readonly EndpointState[]> {
  return (await readRouted(signal)).endpoints
}

/** With what the endpoint shows that every hub has. */
export function readRouted(signal: AbortSignal): Promise<ReturnType<typeof check>> {
  return json(check, '/routing/endpoints', { signal })
}

/** Batches that it still gets, and how old the oldest is. */
export function lagOf({ partitions }: EndpointState): { readonly behind: number; readonly ageMs: number } {
  let [behind, ageMs] = [0, 0]
  for (const partition of partitions) {
    behind += partition.behind
    ageMs = Math.max(ageMs, partition.ageMs)
  }
  return { behind, ageMs }
}
