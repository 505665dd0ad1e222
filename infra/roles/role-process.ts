/**
 * A role process as its supervisor sees it. A role also runs alone (`npx penstock edge`), with nobody to talk to. One whose supervisor
 * disappears drains and ends: nothing is left behind.
 */
import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Pushed, PushName } from '#runtime/line-rpc/contract.ts'
import { IpcChannel } from '#runtime/line-rpc/ipc-channel.ts'
import { LineRpc } from '#runtime/line-rpc/line-rpc.ts'
import type { MetricSample } from '#runtime/metrics.ts'
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
  control(control: ControlState): void
}

type Supervisor = LineRpc<typeof roleContract, typeof supervisorContract>

let link: Supervisor | undefined
const stopAsked = new AbortController()
let edge: EdgeListener | undefined
/** What was heard before the edge listened. */
const early: ((listener: EdgeListener) => void)[] = []

/** Made at first use, so that importing this file does nothing; heard only from `listen` on, which keeps the process alive. */
function supervisor(): Supervisor {
  link ??= new LineRpc({
    channel: new IpcChannel(process),
    own: roleContract,
    handlers: {
      questions: {},
      pushes: {
        stop: () => stopAsked.abort(),
        takeOver: (takenOver) => tellEdge((listener) => listener.takeOver(takenOver)),
        control: (control) => tellEdge((listener) => listener.control(control)),
      },
    },
    peer: supervisorContract,
    clock: systemClock,
    answerMsMax,
    // `stopOnSignal` ends the process then.
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

/** Calls `stop` once: on SIGTERM, SIGINT and SIGHUP if alone; if supervised on `stop`, or when the supervisor is gone; then exits with 0. */
export function stopOnSignal(stop: (reason: string) => Promise<void>): void {
  let stopping = false
  const once = (reason: string): void => {
    if (stopping) return
    stopping = true
    stop(reason).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`stopping failed: ${error instanceof Error ? error.stack : String(error)}\n`)
        process.exit(1)
      },
    )
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    // Ctrl-C, a terminal that closes and service managers signal the whole process group; a supervised role waits for its supervisor,
    // which stops the roles in order.
    process.on(signal, () => {
      if (!supervised) once(signal)
    })
  }
  if (!supervised) return
  stopAsked.signal.addEventListener('abort', () => once('stop'))
  if (stopAsked.signal.aborted) once('stop')
  supervisor().listen()
  process.on('disconnect', () => once('supervisor gone'))
  // It may have died while this process was still starting: then nobody says so any more.
  if (!process.connected) once('supervisor gone')
}

const reportDelayMs = 1000

/** Calls `report` now and every second, if anybody listens. */
export function reportEverySecond(report: () => void): void {
  if (!supervised) return
  report()
  setInterval(report, reportDelayMs).unref()
}

/** Tells the supervisor that this process still turns, from its very start. */
export function reportAlive(): void {
  reportEverySecond(() => tellSupervisor('alive', undefined))
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

/** Asks for the passwords of the warehouse's users; undefined if the supervisor is gone. Rejects if it does not answer. */
export async function askPasswords(): Promise<WarehousePasswords | undefined> {
  try {
    return await supervisor().ask('passwords', undefined)
  } catch (error) {
    if (!process.connected) return undefined
    throw error
  }
}
