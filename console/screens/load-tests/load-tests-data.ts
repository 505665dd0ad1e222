/** Load tests of this installation, as they are asked for and told. */
import { json, send } from '#console/data/call.ts'
import { aBoolean, aCount, aNumber, aText, listOf, oneOf, optional, recordOf } from '#runtime/json-check.ts'
import {
  type LoadTestAsked,
  type LoadTestComparison,
  type LoadTestFigure,
  type LoadTestLatency,
  type LoadTestLedgerLine,
  type LoadTestPoint,
  type LoadTestProcess,
  type LoadTestResultPoint,
  type LoadTestState,
  loadTestShapes,
  loadTestStages,
} from '#schemas/load-tests.ts'

export interface Summary {
  readonly run: string
  readonly startedAt: string
  readonly verdict: Verdict
  readonly devices: number
  readonly asked: string
  readonly acknowledgedPerSecond: number
  readonly storedPerSecond: number | undefined
  readonly acknowledgedMsP99: number
  readonly rowMsP99: number | undefined
  readonly lost: number | undefined
  readonly repeated: number | undefined
}

export const verdicts = ['passed', 'failed', 'invalid'] as const
export type Verdict = (typeof verdicts)[number]

export interface Detail extends Summary {
  readonly version: string
  readonly commit: string
  readonly machine: string
  readonly warnings: readonly string[]
  readonly stages: readonly { readonly name: string; readonly messages: number }[]
  readonly latencies: readonly LoadTestLatency[]
  readonly ledger: readonly LoadTestLedgerLine[]
  readonly points: readonly LoadTestResultPoint[]
  readonly rows: readonly { readonly atS: number; readonly rows: number }[]
  readonly processes: readonly LoadTestProcess[]
  readonly thresholds: readonly { readonly name: string; readonly value: string; readonly isMet: boolean }[]
  readonly compared: LoadTestComparison | undefined
}

export interface Results {
  readonly results: readonly Summary[]
  readonly more: number
  readonly unreadable: number
  readonly running: LoadTestState | undefined
  readonly canStart: boolean
}

const summary = {
  run: aText,
  startedAt: aText,
  verdict: oneOf(...verdicts),
  devices: aCount,
  asked: aText,
  acknowledgedPerSecond: aNumber,
  storedPerSecond: optional(aNumber),
  acknowledgedMsP99: aNumber,
  rowMsP99: optional(aNumber),
  lost: optional(aNumber),
  repeated: optional(aNumber),
}

const detail = recordOf<Detail>({
  ...summary,
  version: aText,
  commit: aText,
  machine: aText,
  warnings: listOf(aText),
  stages: listOf(recordOf({ name: aText, messages: aNumber })),
  latencies: listOf(
    recordOf<LoadTestLatency>({ name: aText, p50Ms: aNumber, p99Ms: aNumber, p999Ms: aNumber, maxMs: aNumber }),
  ),
  ledger: listOf(recordOf<LoadTestLedgerLine>({ name: aText, count: aNumber, isFault: aBoolean })),
  points: listOf(
    recordOf<LoadTestResultPoint>({
      atS: aNumber,
      offered: aNumber,
      sent: aNumber,
      acknowledged: aNumber,
      p50Ms: aNumber,
      p99Ms: aNumber,
    }),
  ),
  rows: listOf(recordOf({ atS: aNumber, rows: aNumber })),
  processes: listOf(
    recordOf<LoadTestProcess>({
      name: aText,
      cpuShare: aNumber,
      residentBytes: aNumber,
      messagesPerCpuSecond: aNumber,
    }),
  ),
  thresholds: listOf(recordOf({ name: aText, value: aText, isMet: aBoolean })),
  compared: optional(
    recordOf<LoadTestComparison>({
      run: aText,
      differences: listOf(aText),
      areBothValid: aBoolean,
      figures: listOf(
        recordOf<LoadTestFigure>({
          name: aText,
          before: aText,
          now: aText,
          change: aText,
          kind: oneOf('better', 'worse', 'same'),
        }),
      ),
    }),
  ),
})

const state = recordOf<LoadTestState>({
  run: aText,
  asked: recordOf<LoadTestAsked>({
    devices: aCount,
    rate: aCount,
    seconds: aCount,
    bodyBytes: aCount,
    qos: aCount,
    shape: oneOf(...loadTestShapes),
  }),
  stage: oneOf(...loadTestStages),
  startedAtMs: aNumber,
  sent: aCount,
  acknowledged: aCount,
  rows: optional(aCount),
  points: listOf(
    recordOf<LoadTestPoint>({ atS: aNumber, sent: aNumber, acknowledged: aNumber, p50Ms: aNumber, p99Ms: aNumber }),
  ),
  fault: optional(aText),
})

const results = recordOf<Results>({
  results: listOf(recordOf<Summary>(summary)),
  more: aCount,
  unreadable: aCount,
  running: optional(state),
  canStart: aBoolean,
})

const path = '/api/load-tests'

export function readResults(signal: AbortSignal): Promise<Results> {
  return json(results, path, { signal })
}

/** @param other to be compared with; empty: none */
export function readResult(run: string, other: string, signal: AbortSignal): Promise<Detail> {
  const query = other === '' ? '' : `?compare=${encodeURIComponent(other)}`
  return json(detail, `${path}/${encodeURIComponent(run)}${query}`, { signal })
}

export function startLoadTest(asked: LoadTestAsked, signal: AbortSignal): Promise<void> {
  return send(path, { method: 'POST', body: asked, signal })
}

export function stopLoadTest(signal: AbortSignal): Promise<void> {
  return send(`${path}/stop`, { method: 'POST', signal })
}

export function deleteResult(run: string, signal: AbortSignal): Promise<void> {
  return send(`${path}/${encodeURIComponent(run)}`, { method: 'DELETE', signal })
}

/** Its page that stands by itself; the browser asks for it with the session of the console. */
export function reportAddress(run: string): string {
  return `${path}/${encodeURIComponent(run)}/report`
}
