import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'

/** A process as this watch sees it. */
export interface Heard {
  /** For the log, e.g. `edge-0`. */
  readonly name: string
  readonly ready: boolean
  /** When it last said something, or was started; undefined while it does not run. */
  readonly heardAtMs: number | undefined
  kill(): void
}

const askMs = 1_000
/** Every process says each second that it is alive. On a machine that is busy beyond measure a second becomes some, not ten. */
export const silentMsMin = 10_000
/** Then it is believed to be stopped or caught in a loop for good. What it held unacknowledged is sent again, and nothing doubles [G-2]. */
export const killedMsMin = 30_000
/** Opening much data keeps a starting process from saying anything, and to end it would only make it begin again. */
export const startingMsMin = 60_000

/**
 * Notices processes that run and do nothing: stopped, or their event loop blocked. They are told of, and one that was ready is killed,
 * so that it is started again.
 */
export class SilenceWatch {
  readonly #processes: () => readonly Heard[]
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #told = new Set<string>()
  #timer: NodeJS.Timeout | undefined
  #lookedAtMs: number
  /** Before it nobody could be heard: this process itself, or the whole machine, stood still. */
  #deafUntilMs = 0

  constructor(processes: () => readonly Heard[], clock: Clock, logger: Logger) {
    this.#processes = processes
    this.#clock = clock
    this.#logger = logger
    this.#lookedAtMs = clock.monotonicMs()
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), askMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Names of processes that have said nothing for too long. */
  silent(): string[] {
    return this.#processes()
      .filter((process) => this.#silenceMs(process) >= (process.ready ? silentMsMin : startingMsMin))
      .map(({ name }) => name)
  }

  look(): void {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#lookedAtMs > 3 * askMs) this.#deafUntilMs = nowMs
    this.#lookedAtMs = nowMs
    const silent = new Set(this.silent())
    for (const name of this.#told) if (!silent.has(name)) this.#told.delete(name)
    for (const process of this.#processes()) {
      const { name } = process
      const silentMs = this.#silenceMs(process)
      if (process.ready && silentMs >= killedMsMin) {
        this.#logger.error('a process says nothing any more and is killed', { process: name, silentMs })
        process.kill()
      } else if (silent.has(name) && !this.#told.has(name)) {
        this.#logger.warn('a process says nothing; it is stopped, or busy with one thing', { process: name, silentMs })
      }
      if (silent.has(name)) this.#told.add(name)
    }
  }

  #silenceMs({ heardAtMs }: Heard): number {
    return heardAtMs === undefined ? 0 : Math.round(this.#clock.monotonicMs() - Math.max(heardAtMs, this.#deafUntilMs))
  }
}
