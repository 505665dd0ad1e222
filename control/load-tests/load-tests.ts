/** Load tests of this installation: what they measured, and one at a time that runs. */
import type {
  LoadTestAsked,
  LoadTestComparison,
  LoadTestLatency,
  LoadTestLedgerLine,
  LoadTestProcess,
  LoadTestResultPoint,
  LoadTestState,
} from '#schemas/load-tests.ts'

/** What a list says of a result. */
export interface LoadTestSummary {
  readonly run: string
  /** ISO 8601. */
  readonly startedAt: string
  /** passed, failed or invalid. */
  readonly verdict: string
  readonly devices: number
  readonly asked: string
  readonly acknowledgedPerSecond: number
  readonly storedPerSecond: number | null
  readonly acknowledgedMsP99: number
  readonly rowMsP99: number | null
  /** `null`: nothing was compared with rows. */
  readonly lost: number | null
  readonly repeated: number | null
}

/** A result as it is shown; of one workload or all together. */
export interface LoadTestDetail extends LoadTestSummary {
  readonly version: string
  readonly commit: string
  readonly machine: string
  readonly warnings: readonly string[]
  /** Where the messages went, step by step. */
  readonly stages: readonly { readonly name: string; readonly messages: number }[]
  readonly latencies: readonly LoadTestLatency[]
  readonly ledger: readonly LoadTestLedgerLine[]
  readonly points: readonly LoadTestResultPoint[]
  readonly rows: readonly { readonly atS: number; readonly rows: number }[]
  readonly processes: readonly LoadTestProcess[]
  readonly thresholds: readonly { readonly name: string; readonly value: string; readonly isMet: boolean }[]
  readonly compared: LoadTestComparison | null
}

export interface LoadTestList {
  readonly results: readonly LoadTestSummary[]
  /** Results beyond those that are listed, and files that are none. */
  readonly more: number
  readonly unreadable: number
  /** The last one that was started from here. */
  readonly running: LoadTestState | undefined
  /** False: here nobody starts one. */
  readonly canStart: boolean
}

export interface LoadTests {
  list(): Promise<LoadTestList>
  /** @param other to be compared with. @throws LOADTEST_UNKNOWN for either */
  read(run: string, other: string | undefined): Promise<LoadTestDetail>
  /** The page that stands by itself. @throws LOADTEST_UNKNOWN */
  report(run: string): Promise<string>
  /** Deletes its files. @throws LOADTEST_UNKNOWN */
  remove(run: string): Promise<void>
  /** @throws LOADTEST_RUNNING, LOADTEST_IMPOSSIBLE, LOADTESTS_FULL */
  start(asked: LoadTestAsked): Promise<LoadTestState>
  /** Ends sending; what was sent is compared with the rows all the same. Nothing runs: nothing happens. */
  stop(): Promise<void>
}
