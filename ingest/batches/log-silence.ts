import { limits } from '#schemas/limits.ts'
import type { Batcher } from './batcher.ts'

/** Whether the log confirms anything of what waits for it, judged once a second. */
export class LogSilence {
  readonly #batcher: Batcher
  #appendedBefore = 0
  #seconds = 0

  constructor(batcher: Batcher) {
    this.#batcher = batcher
  }

  /** Called every second. */
  onSecond(): void {
    const appended = this.#batcher.appendedTotal.value
    const isSilent = this.#batcher.pendingBytes > 0 && appended === this.#appendedBefore
    this.#seconds = isSilent ? this.#seconds + 1 : 0
    this.#appendedBefore = appended
  }

  /** True once it was silent for so long that new connections are better off elsewhere. */
  get isLong(): boolean {
    return this.#seconds >= limits.edgeLogSilentSecondsMax
  }
}
