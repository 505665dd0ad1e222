/**
 * Thresholds of a run: `puback_p99_ms=50,stored_p99_ms=1000,acknowledged_per_s=20000,lost=0`.
 *
 *   <latency>_<figure>_ms   puback · raw · stored · late   ×   mean p50 p90 p99 p999 max    at most
 *                           reported · methods (until answered) · desired · commands (until the device has it)
 *   sent_per_s acknowledged_per_s stored_per_s                                              at least
 *   lost repeated out_of_order refused connections_lost missing                             at most
 *
 * `missing` was sent, and neither acknowledged nor refused nor stored; of other kinds neither answered nor refused nor seen. None may be, unless a threshold allows some.
 */

import { PenstockError } from '#schemas/errors.ts'

export interface Threshold {
  readonly name: string
  readonly bound: 'most' | 'least'
  readonly limit: number
}

export interface ThresholdVerdict extends Threshold {
  /** Undefined if the run did not measure it: then the threshold is missed. */
  readonly value: number | undefined
  readonly isMet: boolean
}

const latencies = ['puback', 'raw', 'stored', 'late', 'reported', 'desired', 'methods', 'commands'] as const
const figures = ['mean', 'p50', 'p90', 'p99', 'p999', 'max'] as const
const rates = ['sent_per_s', 'acknowledged_per_s', 'stored_per_s'] as const
const counts = ['lost', 'repeated', 'out_of_order', 'refused', 'connections_lost', 'missing'] as const

export const thresholdNames: readonly string[] = [
  ...latencies.flatMap((latency) => figures.map((figure) => `${latency}_${figure}_ms`)),
  ...rates,
  ...counts,
]

/** Reads `name=number` pairs behind commas. @throws LOADTEST_OPTIONS_INVALID with all faults */
export function thresholdsOf(text: string): Threshold[] {
  const faults: string[] = []
  const thresholds: Threshold[] = []
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue
    const [name = '', value = '', ...more] = part.split('=').map((each) => each.trim())
    const limit = Number(value)
    if (!thresholdNames.includes(name)) faults.push(`--slo ${part}: there is ${thresholdNames.join(', ')}`)
    else if (value === '' || more.length > 0 || !Number.isFinite(limit) || limit < 0)
      faults.push(`--slo ${part}: expected ${name}=<number>`)
    else if (thresholds.some((other) => other.name === name)) faults.push(`--slo ${name} is given twice`)
    else thresholds.push({ name, limit, bound: name.endsWith('_per_s') ? 'least' : 'most' })
  }
  if (faults.length > 0) throw new PenstockError('LOADTEST_OPTIONS_INVALID', faults.join('\n'))
  return thresholds
}
