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
/**
 * Then it is believed to be stopped or caught in a loop for good: long after a worker's group has given its partitions to another. What it
 * held unacknowledged is sent again, and nothing doubles [G-2].
 */
export const killedMsMin = 60_000
/** Between two kills. The others may only have waited for what the first one held, such as the write lock of the embedded log. */
export const betweenKillsMs = silentMsMin
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
  #killsFromMs = 0

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
      if (!silent.has(name) || this.#told.has(name)) continue
      this.#told.add(name)
      const silentMs = this.#silenceMs(process)
      this.#logger.warn('a process says nothing; it is stopped, or busy with one thing', { process: name, silentMs })
    }
    if (nowMs >= this.#killsFromMs) this.#killLongestSilent(nowMs)
  }

  #killLongestSilent(nowMs: number): void {
    const [longest] = this.#processes()
      .filter((process) => process.ready && this.#silenceMs(process) >= killedMsMin)
      .sort((one, other) => this.#silenceMs(other) - this.#silenceMs(one))
    if (longest === undefined) return
    const silentMs = this.#silenceMs(longest)
    this.#logger.error('a process says nothing any more and is killed', { process: longest.name, silentMs })
    longest.kill()
    this.#killsFromMs = nowMs + betweenKillsMs
  }

  #silenceMs({ heardAtMs }: Heard): number {
    return heardAtMs === undefined ? 0 : Math.round(this.#clock.monotonicMs() - Math.max(heardAtMs, this.#deafUntilMs))
  }
}
