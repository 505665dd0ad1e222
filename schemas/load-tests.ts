/** A load test of an installation by its own supervisor: what may be asked for, and what is told of it while it runs. */

/** Rate over time, as `npm run loadtest -- --shape` has it. Those whose devices send many times the rate are for the command line. */
export const loadTestShapes = ['steady', 'ramp', 'spike', 'storm', 'hot'] as const
export type LoadTestShape = (typeof loadTestShapes)[number]

/** Both bounds are allowed. More is for the command line, which can run on a machine of its own. */
export const loadTestBounds = {
  devices: [1, 2_000],
  /** Messages a second of all devices together. */
  rate: [1, 50_000],
  seconds: [5, 600],
  bodyBytes: [48, 4_096],
  qos: [0, 1],
} as const satisfies Readonly<Record<string, readonly [least: number, most: number]>>

export interface LoadTestAsked {
  readonly devices: number
  readonly rate: number
  readonly seconds: number
  readonly bodyBytes: number
  readonly qos: number
  readonly shape: LoadTestShape
}

/** About one second of a run: rates a second, latencies until the PUBACK. */
export interface LoadTestPoint {
  readonly atS: number
  readonly sent: number
  readonly acknowledged: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/**
 * `storing`: all is sent, and rows are waited for. `stopping`: somebody ended it early; what was sent is compared with the rows all the
 * same. `done`: its result is among the results.
 */
export const loadTestStages = ['starting', 'sending', 'stopping', 'storing', 'done', 'failed'] as const
export type LoadTestStage = (typeof loadTestStages)[number]

/** The last one that was started here. */
export interface LoadTestState {
  readonly run: string
  readonly asked: LoadTestAsked
  readonly stage: LoadTestStage
  readonly startedAtMs: number
  readonly sent: number
  readonly acknowledged: number
  /** Seen so far; `undefined`: nobody has looked. */
  readonly rows: number | undefined
  readonly points: readonly LoadTestPoint[]
  /** Why it failed. */
  readonly fault: string | undefined
}

/** Milliseconds from sending to what the name says. */
export interface LoadTestLatency {
  readonly name: string
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

export interface LoadTestLedgerLine {
  readonly name: string
  readonly count: number
  readonly isFault: boolean
}

/** As `LoadTestPoint`, of a result, with what was to be sent. */
export interface LoadTestResultPoint extends LoadTestPoint {
  readonly offered: number
}

export interface LoadTestProcess {
  readonly name: string
  /** Of one CPU. */
  readonly cpuShare: number
  readonly residentBytes: number
  readonly messagesPerCpuSecond: number
}

/** A figure of two runs. */
export interface LoadTestFigure {
  readonly name: string
  readonly before: string
  readonly now: string
  readonly change: string
  /** same: more likely chance than cause. */
  readonly kind: 'better' | 'worse' | 'same'
}

/** With another run. */
export interface LoadTestComparison {
  readonly run: string
  /** What they differ in besides what they measured. */
  readonly differences: readonly string[]
  readonly areBothValid: boolean
  readonly figures: readonly LoadTestFigure[]
}

export function isUnderWay(state: LoadTestState | undefined): boolean {
  return state !== undefined && state.stage !== 'done' && state.stage !== 'failed'
}

/** Of a result, which is the name of its files; nothing else is looked for. */
export const loadTestName = /^[A-Za-z0-9][\w-]{0,63}$/
