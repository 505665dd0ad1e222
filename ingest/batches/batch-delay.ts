/** Above so many writes of acknowledgements a millisecond, batches wait longer: each costs some 8 µs of CPU. */
const writesPerMsMax = 20
const stretch = 5
/** With fewer messages a write than this, waiting longer brought nothing. */
const messagesPerWriteMin = 1.25
/** When so much less comes than before, devices wait for acknowledgements before they send on. */
const shareMin = 0.75
const lookMs = 500
/** How long a wait that brought nothing is not tried again. */
const restMs = 30_000

/**
 * How long an open batch waits for more messages: `baseMs`, and five times as long while acknowledgements are most of the
 * work. A device gets one write a batch, the dearest step of a message, so that with many devices a longer wait lets one write
 * acknowledge several messages. Where that is not so, or devices send less because of it, the wait goes back to `baseMs`.
 */
export class BatchDelay {
  readonly #baseMs: number
  #ms: number
  #writes = 0
  #messages = 0
  #sinceMs = 0
  #messagesPerMsBefore = 0
  #restUntilMs = 0
  /** The last look made the wait longer. */
  #isNew = false

  constructor(baseMs: number) {
    this.#baseMs = baseMs
    this.#ms = baseMs
  }

  /** One write acknowledged so many messages. */
  acknowledged(messages: number): void {
    this.#writes++
    this.#messages += messages
  }

  /** Milliseconds that batches which begin now wait. */
  next(nowMs: number): number {
    const passedMs = nowMs - this.#sinceMs
    if (passedMs >= 0 && passedMs < lookMs) return this.#ms
    if (passedMs >= lookMs) this.#look(nowMs, passedMs)
    this.#writes = 0
    this.#messages = 0
    this.#sinceMs = nowMs
    return this.#ms
  }

  #look(nowMs: number, passedMs: number): void {
    const messagesPerMs = this.#messages / passedMs
    const isTooMany = this.#writes > writesPerMsMax * passedMs
    const isFewer = messagesPerMs < this.#messagesPerMsBefore * shareMin
    const isInVain = isTooMany && this.#messages < this.#writes * messagesPerWriteMin
    const isNew = this.#isNew
    this.#isNew = false
    if (this.#ms === this.#baseMs) {
      if (!isTooMany || nowMs < this.#restUntilMs) return
      this.#messagesPerMsBefore = messagesPerMs
      this.#isNew = true
      this.#ms = this.#baseMs * stretch
    } else if (isFewer || isInVain) {
      this.#ms = this.#baseMs
      // Fewer some time later are just a load that ended.
      if (isNew || isInVain) this.#restUntilMs = nowMs + restMs
    }
  }
}
