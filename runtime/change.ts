import type { Clock } from './clock.ts'

/** Something that changes now and then, and that others wait for. */
export class Change {
  #wake: () => void = () => {}
  #changed: Promise<void> = Promise.resolve()

  constructor() {
    this.#renew()
  }

  /** Wakes whoever waits. */
  happened(): void {
    this.#wake()
    this.#renew()
  }

  /** Resolves at the next change, after `delayMs`, or when `ended` aborts. Never rejects. */
  wait(clock: Clock, ended: AbortSignal, delayMs?: number): Promise<void> {
    const changed = this.#changed
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        ended.removeEventListener('abort', end)
        resolve()
      }
      const cancel = delayMs === undefined ? () => {} : clock.after(Math.max(0, delayMs), end)
      ended.addEventListener('abort', end)
      void changed.then(end)
      if (ended.aborted) end()
    })
  }

  #renew(): void {
    this.#changed = new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
