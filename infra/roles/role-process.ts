/**
 * What a role process and its supervisor say to each other over the IPC channel. A role also runs alone (`npx penstock edge`),
 * with nobody to talk to.
 *
 *   role → supervisor   alive, every second · ready {ports} · samples {metrics} · noisiest {report} · take-over {sessionId, openedAtMs} · ask-status · ask-noisiest {count}
 *                       · first-device {device} · ask-passwords · standstill {text} · ask-control
 *   supervisor → role   stop · take-over {sessionId, openedAtMs} · status {ready, standstill, metrics} · noisiest {report of all} · control {where it is}
 *                       · passwords {of the warehouse's users}
 *
 * A role whose supervisor disappears drains and ends: nothing is left behind.
 */
import type { NoisiestReport } from '#ingest/quotas/noisiest.ts'
import type { MetricSample } from '#runtime/metrics.ts'
import type { Settings } from '#schemas/settings.ts'

export type RoleName = 'edge' | 'worker' | 'warehouse' | 'control'

export type FromRole =
  | { readonly kind: 'alive' }
  | { readonly kind: 'ready'; readonly ports: Readonly<Record<string, number>> }
  | { readonly kind: 'samples'; readonly samples: readonly MetricSample[] }
  | { readonly kind: 'standstill'; readonly text: string | undefined }
  | { readonly kind: 'take-over'; readonly sessionId: string; readonly openedAtMs: number }
  | { readonly kind: 'noisiest'; readonly report: NoisiestReport }
  | { readonly kind: 'ask-status'; readonly askId: number }
  | { readonly kind: 'ask-noisiest'; readonly askId: number; readonly countMax: number }
  | { readonly kind: 'first-device'; readonly device: FirstDevice }
  | { readonly kind: 'ask-passwords'; readonly askId: number }
  | { readonly kind: 'ask-control' }

export type ToRole =
  | { readonly kind: 'stop' }
  | { readonly kind: 'take-over'; readonly sessionId: string; readonly openedAtMs: number }
  | { readonly kind: 'status'; readonly askId: number; readonly status: Status }
  | { readonly kind: 'control'; readonly control: ControlState }
  | { readonly kind: 'noisiest'; readonly askId: number; readonly report: NoisiestReport }
  | { readonly kind: 'passwords'; readonly askId: number; readonly passwords: WarehousePasswords }

/** Of the embedded engine's users; not in the environment of its process (`role-environment.ts`). */
export type WarehousePasswords = Pick<
  Settings,
  'clickhousePassword' | 'clickhouseAnalystPassword' | 'clickhouseReadonlyPassword'
>

/** The control role as edges need to know it. */
export type ControlState =
  | { readonly state: 'running'; readonly url: string }
  /** It does not run, or not yet: whoever asks is told again once it does. */
  | { readonly state: 'away' }
  /** It ended by itself, and is not started before so long. */
  | { readonly state: 'failed'; readonly retryAfterMs: number }

/** What all processes together are like. */
export interface Status {
  readonly ready: boolean
  /** One line that says so if nothing, or not everything, is delivered. Anyone may read it, so it quotes nothing. */
  readonly standstill?: string | undefined
  /** Prometheus text format. */
  readonly metrics: string
  /** Processes that run and say nothing, e.g. `worker-0`. */
  readonly silent?: readonly string[]
}

/** A device that is registered, for the person who started everything to try. */
export interface FirstDevice {
  readonly deviceId: string
  /** Of the device that a first start makes; shown this once. */
  readonly key: string | undefined
}

/** Exit code of a process that met a fatal expected fault: starting it again would not help. */
export const fatalExitCode = 3

/** Exit code of a supervised process that needs something which is away for now: starting it again is all that can be done. */
export const awayExitCode = 4

export const supervised = process.send !== undefined

export function tellSupervisor(message: FromRole): void {
  // A supervisor that is gone is noticed by `disconnect`; a lost message changes nothing then.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

export function onSupervisorMessage(handle: (message: ToRole) => void): void {
  process.on('message', (message) => handle(message as ToRole))
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
  onSupervisorMessage((message) => {
    if (message.kind === 'stop') once('stop')
  })
  process.on('disconnect', () => once('supervisor gone'))
  // It may have died while this process was still starting: then nobody says so any more.
  if (!process.connected) once('supervisor gone')
}

const reportDelayMs = 1000

/** Tells the supervisor how this process is, now and every second. */
export function reportEverySecond(reports: () => readonly FromRole[]): void {
  if (!supervised) return
  const report = (): void => {
    for (const message of reports()) tellSupervisor(message)
  }
  report()
  setInterval(report, reportDelayMs).unref()
}

/** Tells the supervisor that this process still turns, from its very start. */
export function reportAlive(): void {
  reportEverySecond(() => [{ kind: 'alive' }])
}

/** Sends this process's metric samples to the supervisor, now and every second. */
export function reportSamples(samples: () => readonly MetricSample[]): void {
  reportEverySecond(() => [{ kind: 'samples', samples: samples() }])
}

const answerMsMax = 2_000

/** Asks the supervisor what all processes together are like. Rejects if it does not answer. */
export async function askStatus(): Promise<Status> {
  const answer = await ask((askId) => ({ kind: 'ask-status', askId }), 'status')
  return answer.status
}

/** Asks for the noisiest devices of all edge processes. Rejects if the supervisor does not answer. */
export async function askNoisiest(countMax: number): Promise<NoisiestReport> {
  const answer = await ask((askId) => ({ kind: 'ask-noisiest', askId, countMax }), 'noisiest')
  return answer.report
}

/** Asks for the passwords of the warehouse's users; undefined if the supervisor is gone. Rejects if it does not answer. */
export async function askPasswords(): Promise<WarehousePasswords | undefined> {
  try {
    return (await ask((askId) => ({ kind: 'ask-passwords', askId }), 'passwords')).passwords
  } catch (error) {
    if (!process.connected) return undefined
    throw error
  }
}

type Answer<Kind> = Extract<ToRole, { readonly kind: Kind; readonly askId: number }>

function ask<Kind extends 'status' | 'noisiest' | 'passwords'>(
  question: (askId: number) => FromRole,
  kind: Kind,
): Promise<Answer<Kind>> {
  const askId = nextAskId++
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      process.off('message', hear)
      process.off('disconnect', giveUp)
    }
    const giveUp = (): void => {
      end()
      reject(new Error('the supervisor does not answer'))
    }
    const hear = (message: unknown): void => {
      const heard = message as Answer<Kind>
      if (heard.kind !== kind || heard.askId !== askId) return
      end()
      resolve(heard)
    }
    const timer = setTimeout(giveUp, answerMsMax)
    process.on('message', hear)
    process.on('disconnect', giveUp)
    // It may have gone before anyone listened.
    if (!process.connected) giveUp()
    tellSupervisor(question(askId))
  })
}

let nextAskId = 0
