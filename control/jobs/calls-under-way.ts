import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'

/** Calls of one job that are under way. One at a time waits for them; not for long once the process ends. */
export class CallsUnderWay {
  readonly #stop: AbortSignal
  readonly #clock: Clock
  #count = 0
  #isGivenUp = false
  #wake = (): void => {}
  #cancel = (): void => {}

  /** @param stop the process ends */
  constructor(stop: AbortSignal, clock: Clock) {
    this.#stop = stop
    this.#clock = clock
    if (stop.aborted) this.#stopping()
    else stop.addEventListener('abort', this.#stopping)
  }

  get count(): number {
    return this.#count
  }

  /** @param call never rejects */
  add(call: Promise<void>): void {
    this.#count++
    void call.then(() => {
      this.#count--
      this.#wake()
    })
  }

  /** Resolves once fewer than `count` are under way, or they are given up. */
  async fewerThan(count: number): Promise<void> {
    while (this.#count >= count && !this.#isGivenUp)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
  }

  close(): void {
    this.#stop.removeEventListener('abort', this.#stopping)
    this.#cancel()
  }

  readonly #stopping = (): void => {
    this.#cancel = this.#clock.after(limits.jobStopMsMax, () => {
      this.#isGivenUp = true
      this.#wake()
    })
  }
}
