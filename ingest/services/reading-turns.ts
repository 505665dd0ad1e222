/**
 * Readers take turns, one for each round of the event loop: between two of them the sockets of all devices were looked at. So one slice of
 * reading is the most that a PUBACK waits for, however many read.
 */
export class ReadingTurns {
  readonly #waiting: (() => void)[] = []
  readonly #isBusy: () => boolean

  /** @param isBusy devices wait for the log: nobody reads until they do not */
  constructor(isBusy: () => boolean) {
    this.#isBusy = isBusy
  }

  /** Resolves with the turn, which lasts until the caller waits for something. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#waiting.push(resolve) === 1) setImmediate(() => this.#turn())
    })
  }

  #turn(): void {
    if (!this.#isBusy()) this.#waiting.shift()?.()
    if (this.#waiting.length === 0) return
    // A log that is slow is not asked a thousand times a second whether it still is.
    if (this.#isBusy()) setTimeout(() => this.#turn(), busyMs)
    else setImmediate(() => this.#turn())
  }
}

const busyMs = 20
