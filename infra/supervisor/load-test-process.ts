/**
 * A load test of the installation whose supervisor forked this process. It is told once what to do, tells how it goes, and ends.
 *
 *   supervisor ── run ──▶ sends ── progress … rows … ──▶ writes result and report ── done ──▶ exit
 *              ── stop ─▶ sends no more, and goes on as above
 *              ── leave ▶ deletes the devices that it registered ── failed ──▶ exit, without a result
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { endFirstWhenMemoryEnds } from '#infra/roles/end-first.ts'
import { removeMsMax } from '#loadtest/options/load-options.ts'
import { reportOf } from '#loadtest/report/report.ts'
import type { LiveView } from '#loadtest/run/load-run.ts'
import { runRegistered } from '#loadtest/run/run-registered.ts'
import { workloadsOfShape } from '#loadtest/workload/shapes.ts'
import { replacePrivateFile } from '#runtime/private-files.ts'
import { killAfter } from '#runtime/process-end.ts'
import type { LoadTestPoint } from '#schemas/load-tests.ts'
import { type LoadTestOrder, loadOptionsOf } from './load-test-order.ts'

/** Supervisor to process. */
export type LoadTestCommand =
  | { readonly kind: 'run'; readonly order: LoadTestOrder }
  | { readonly kind: 'stop' }
  | { readonly kind: 'leave' }

/** Process to supervisor. */
export type LoadTestEvent =
  | { readonly kind: 'progress'; readonly point: LoadTestPoint; readonly sent: number; readonly acknowledged: number }
  | { readonly kind: 'rows'; readonly rows: number }
  | { readonly kind: 'leftBehind'; readonly text: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string }

/** So often somebody is told, at most; views come about twice a second. */
const tellMs = 900
/** Without its supervisor it may take so long to end in order, and then so long to leave. */
const orphanMsMax = 20_000
const leaveMsMax = removeMsMax + 1_000

/** Nobody hears it once the supervisor is gone. */
function tell(event: LoadTestEvent): void {
  if (process.connected) process.send?.(event)
}

async function run(order: LoadTestOrder, signal: AbortSignal, leave: AbortSignal): Promise<void> {
  const { asked, registry, metricsUrl, folder, run: name } = order
  const told = { pointAtMs: Number.NEGATIVE_INFINITY, rowsAtMs: Number.NEGATIVE_INFINITY }
  const onLive = ({ point, progress, observer }: LiveView): void => {
    if (point === undefined || performance.now() - told.pointAtMs < tellMs) return
    told.pointAtMs = performance.now()
    const { atS, sent, acknowledged, p50Ms, p99Ms } = point
    tell({
      kind: 'progress',
      point: { atS, sent, acknowledged, p50Ms, p99Ms },
      sent: progress.sent,
      acknowledged: progress.settled,
    })
    const rows = observer?.latest.rows
    if (rows !== undefined) tell({ kind: 'rows', rows })
  }
  const onRows = (rows: number): void => {
    if (performance.now() - told.rowsAtMs < tellMs) return
    told.rowsAtMs = performance.now()
    tell({ kind: 'rows', rows })
  }
  const onLeftBehind = (text: string): void => tell({ kind: 'leftBehind', text })
  const workloads = workloadsOfShape(asked.shape, loadOptionsOf(order))
  const hooks = { signal, leave, observe: { metricsUrl }, onLive, onRows, onLeftBehind }
  const result = await runRegistered(workloads, registry, hooks)
  mkdirSync(folder, { recursive: true })
  replacePrivateFile(join(folder, `${name}.html`), reportOf(result))
  // Last: what has a result has a report.
  replacePrivateFile(join(folder, `${name}.json`), `${JSON.stringify(result, undefined, 2)}\n`)
}

function runProcess(): void {
  const [stop, leave] = [new AbortController(), new AbortController()]
  const end = (event: LoadTestEvent): void => void process.send?.(event, () => process.exit(0))
  process.on('message', (command: LoadTestCommand) => {
    if (command.kind === 'stop') stop.abort()
    else if (command.kind === 'leave') leave.abort()
    else
      run(command.order, stop.signal, leave.signal).then(
        () => end({ kind: 'done' }),
        (error: unknown) => end({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) }),
      )
  })
  process.on('disconnect', () => {
    stop.abort()
    setTimeout(() => leave.abort(), orphanMsMax).unref()
    killAfter(orphanMsMax + leaveMsMax)
  })
  // Of a terminal, whose Ctrl-C is its supervisor's to hear.
  process.on('SIGINT', () => {})
  endFirstWhenMemoryEnds()
}

if (import.meta.main) runProcess()
