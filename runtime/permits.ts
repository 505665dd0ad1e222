import { assert } from '#runtime/assert.ts'

/** Bounds how many of something run at once; waiting ones go in their order. */
export class Permits {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(countMax: number) {
    assert(countMax >= 1, `some of it must be able to run, not ${countMax}`)
    this.#free = countMax
  }

  /** Runs `action` once a permit is free. */
  async with<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await action()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }
}
