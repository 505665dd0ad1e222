/**
 * A role process as its supervisor sees it. A role also runs alone (`npx penstock edge`), with nobody to talk to. One whose supervisor
 * disappears drains and ends: nothing is left behind.
 */

import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import type { ReaderClaim } from '#ingest/services/partition-readers.ts'
import type { ToldRefusal } from '#ingest/session/refusal-log.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Pushed, PushName } from '#runtime/line-rpc/contract.ts'
import { IpcChannel } from '#runtime/line-rpc/ipc-channel.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import { killAfter } from '#runtime/process-end.ts'
import type { ShownSetting } from '#runtime/settings.ts'
import type { LoadTestAsked, LoadTestState } from '#schemas/load-tests.ts'
import {
  type ControlState,
  roleContract,
  type Status,
  supervisorContract,
  type TakenOver,
  type WarehousePasswords,
} from './role-contract.ts'

/** Exit code of a process that met a fatal expected fault: starting it again would not help. */
export const fatalExitCode = 3

/** Exit code of a supervised process that needs something which is away for now: starting it again is all that can be done. */
export const awayExitCode = 4

export const supervised = process.send !== undefined

const answerMsMax = 2_000

/** What an edge hears of its supervisor. */
export interface EdgeListener {
  takeOver(takenOver: TakenOver): void
  readerClaimed(claim: ReaderClaim): void
  control(control: ControlState): void
}

type Supervisor = LineRpc<typeof roleContract, typeof supervisorContract>

let link: Supervisor | undefined
let edge: EdgeListener | undefined
/** What was heard before the edge listened. */
const early: ((listener: EdgeListener) => void)[] = []

/** Made at first use, so that importing this file does nothing. */
function supervisor(): Supervisor {
  link ??= new LineRpc({
    channel: new IpcChannel(process),
    own: roleContract,
    handlers: {
      questions: {},
      pushes: {
        stop: () => askedToStop('stop'),
        takeOver: (takenOver) => tellEdge((listener) => listener.takeOver(takenOver)),
        readerClaimed: (claim) => tellEdge((listener) => listener.readerClaimed(claim)),
        control: (control) => tellEdge((listener) => listener.control(control)),
      },
    },
    peer: supervisorContract,
    clock: systemClock,
    answerMsMax,
    // `beginRole` hears of it, too, and ends the process.
    onEnd: () => {},
    onPushFault: (name, reason) => process.stderr.write(`the supervisor told ${name}, which ${reason}\n`),
  })
  return link
}

function tellEdge(tell: (listener: EdgeListener) => void): void {
  if (edge) tell(edge)
  else early.push(tell)
}

export function listenAsEdge(listener: EdgeListener): void {
  edge = listener
  for (const tell of early.splice(0)) tell(listener)
}

export function tellSupervisor<Name extends PushName<typeof supervisorContract>>(
  name: Name,
  told: Pushed<typeof supervisorContract, Name>,
): void {
  if (supervised) supervisor().push(name, told)
}

/** Ends the role in order; until it is there, the role is starting. */
let stopInOrder: ((reason: string) => Promise<void>) | undefined
let isStopping = false

/** So long a role without a supervisor, which would kill it then, may take to end in order. */
const orphanMsMax = 20_000

/**
 * Call it first of all in a role's process: from then on whatever asks the role to stop is heard, and its supervisor hears that it lives. A
 * role that is alone is asked by SIGTERM, SIGINT and SIGHUP; a supervised one by `stop`, and by the end of its supervisor.
 *
 *   starting ── stopOnSignal ──▶ running ── asked ──▶ ends in order, exit 0
 *      └── asked ──▶ exit 0 at once: nothing was promised to anybody, and what was begun is as after a kill
 */
export function beginRole(): void {
  // Ctrl-C, a terminal that closes and service managers signal the whole process group; a supervised role waits for its supervisor,
  // which stops the roles in order. One whose supervisor is gone has nobody else to listen to.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (!supervised || !process.connected) askedToStop(signal)
    })
  if (!supervised) return
  process.on('disconnect', supervisorGone)
  supervisor().listen()
  // It may have died before anybody listened: then nobody says so any more.
  if (!process.connected) supervisorGone()
  reportEverySecond(() => tellSupervisor('alive', undefined))
}

/** From now on the role ends in order: `stop` is called once, then the process exits with 0. */
export function stopOnSignal(stop: (reason: string) => Promise<void>): void {
  stopInOrder = stop
}

function supervisorGone(): void {
  // First: what is called then may stand still at once.
  killAfter(orphanMsMax)
  askedToStop('supervisor gone')
}

function askedToStop(reason: string): void {
  if (isStopping) return
  isStopping = true
  if (stopInOrder === undefined) process.exit(0)
  stopInOrder(reason).then(
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`stopping failed: ${error instanceof Error ? error.stack : String(error)}\n`)
      process.exit(1)
    },
  )
}

const reportDelayMs = 1000

/** Calls `report` now and every second, if anybody listens. */
export function reportEverySecond(report: () => void): void {
  if (!supervised) return
  report()
  setInterval(report, reportDelayMs).unref()
}

/** Sends this process's metric samples to the supervisor, now and every second. */
export function reportSamples(samples: () => readonly MetricSample[]): void {
  reportEverySecond(() => tellSupervisor('samples', samples()))
}

/** Asks the supervisor what all processes together are like. Rejects if it does not answer. */
export function askStatus(): Promise<Status> {
  return supervisor().ask('status', undefined)
}

/** Asks for the noisiest devices of all edge processes. Rejects if the supervisor does not answer. */
export function askNoisiest(countMax: number): Promise<NoisiestReport> {
  return supervisor().ask('noisiestOfAll', countMax)
}

/** Asks for the last refusals of all edge processes. Rejects if the supervisor does not answer. */
export function askRefusals(): Promise<readonly ToldRefusal[]> {
  return supervisor().ask('refusals', undefined)
}

/** Asks for the last hour of the metrics of all processes, as far as it is later than `sinceMs`. Rejects if the supervisor does not answer. */
export function askHistory(sinceMs: number): Promise<string> {
  return supervisor().ask('history', sinceMs)
}

/** Asks for the settings with which the installation was started. Rejects if the supervisor does not answer. */
export function askSettings(): Promise<readonly ShownSetting[]> {
  return supervisor().ask('settings', undefined)
}

/** Asks how the last load test goes. Rejects if the supervisor does not answer. */
export function askLoadTest(): Promise<LoadTestState | undefined> {
  return supervisor().ask('loadTest', undefined)
}

/** Asks for a load test. Rejects if the supervisor does not answer, or as `LoadTestRunner.start` throws. */
export function startLoadTest(asked: LoadTestAsked): Promise<LoadTestState> {
  return supervisor().ask('startLoadTest', asked)
}

/** Asks for the end of the load test that runs. Rejects if the supervisor does not answer. */
export function stopLoadTest(): Promise<void> {
  return supervisor().ask('stopLoadTest', undefined)
}

/** Asks for the passwords of the warehouse's users. Rejects if the supervisor does not answer. */
export function askPasswords(): Promise<WarehousePasswords> {
  return supervisor().ask('passwords', undefined)
}
