import { assert } from './assert.ts'

interface WaitingCall<Asked, Answer> {
  readonly asked: Asked
  readonly size: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export interface CallBatchOptions<Asked, Answer> {
  /** Carries a batch out. @returns an answer for each, in order; a fault is that of all of them */
  readonly run: (asked: readonly Asked[]) => Promise<readonly Answer[]>
  readonly countMax: number
  /** Of a batch of more than one call. By default only their number counts. */
  readonly sizeOf?: (asked: Asked) => number
  readonly sizeMax?: number
  /** A batch that is not full waits for so long, by `after`; left out: until the end of this turn of the event loop. */
  readonly delay?: { readonly ms: number; readonly after: (delayMs: number, action: () => void) => () => void }
}

/**
 * Gathers calls into batches: one is under way at a time, in the order of the calls, and what is called meanwhile makes up the next. So a
 * flood costs few statements, and a single call waits for nothing but the delay that was asked for.
 */
export class CallBatches<Asked, Answer> {
  readonly #options: CallBatchOptions<Asked, Answer>
  #waiting: WaitingCall<Asked, Answer>[] = []
  #isRunning = false
  #cancelDelay: (() => void) | undefined

  constructor(options: CallBatchOptions<Asked, Answer>) {
    assert(options.countMax > 0, 'a batch has room for a call')
    this.#options = options
  }

  /** Calls that wait for their batch. */
  get waitingCount(): number {
    return this.#waiting.length
  }

  call(asked: Asked): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ asked, size: this.#options.sizeOf?.(asked) ?? 0, resolve, reject })
      if (!this.#isRunning) this.#schedule()
    })
  }

  #schedule(): void {
    const { delay, countMax } = this.#options
    if (delay !== undefined && this.#waiting.length < countMax) {
      this.#cancelDelay ??= delay.after(delay.ms, () => this.#start())
      return
    }
    this.#cancelDelay?.()
    this.#isRunning = true
    setImmediate(() => this.#start())
  }

  #start(): void {
    this.#cancelDelay = undefined
    this.#isRunning = true
    void this.#run()
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#take()
      try {
        const answers = await this.#options.run(batch.map(({ asked }) => asked))
        assert(answers.length === batch.length, 'each call of a batch has an answer')
        for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as Answer)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#isRunning = false
  }

  #take(): WaitingCall<Asked, Answer>[] {
    const { countMax, sizeMax = Number.POSITIVE_INFINITY } = this.#options
    let count = 0
    let size = 0
    for (const waiting of this.#waiting) {
      if (count === countMax || (count > 0 && size + waiting.size > sizeMax)) break
      size += waiting.size
      count++
    }
    return this.#waiting.splice(0, count)
  }
}
