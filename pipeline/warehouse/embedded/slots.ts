import { assert } from '#runtime/assert.ts'
import { EngineError } from './engine-error.ts'

/** At most `count` holders at once. Others wait, in the order in which they came. */
export class Slots {
  readonly #waiting: (() => void)[] = []
  readonly #waitingMax: number
  readonly #count: number
  #free: number

  constructor(count: number, waitingMax: number) {
    assert(count > 0, 'somebody may run')
    this.#count = count
    this.#free = count
    this.#waitingMax = waitingMax
  }

  /** Resolves when a place is free. Every `take` is followed by one `give`. @throws EngineError 202 if too many wait */
  async take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    if (this.#waiting.length >= this.#waitingMax)
      throw new EngineError(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many simultaneous queries are waiting')
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
    })
  }

  give(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#free += 1
    assert(this.#free <= this.#count, 'each place is given back once')
  }
}
