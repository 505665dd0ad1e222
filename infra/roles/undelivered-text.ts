import type { MetricSample } from '#runtime/metrics.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'

const kinds: readonly (readonly [MetricName, kind: string])[] = [
  ['penstock_worker_lag_seconds', 'message'],
  ['penstock_events_lag_seconds', 'device event'],
]

/** How old the oldest is that is not yet a row, in one line for anyone; `undefined` while none is old enough to say so. */
export function undeliveredText(samples: readonly MetricSample[]): string | undefined {
  const old = kinds.flatMap(([metric, kind]) => {
    const seconds = Math.max(0, ...samples.flatMap(([name, , value]) => (name === metric ? value : [])))
    return seconds < limits.undeliveredSecondsSaid
      ? []
      : `the oldest ${kind} that is no row yet waits for ${Math.round(seconds)} s`
  })
  return old.length === 0 ? undefined : old.join(', ')
}
