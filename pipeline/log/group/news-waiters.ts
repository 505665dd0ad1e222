import type { Clock } from '#runtime/clock.ts'

/** Readers that wait for the next record of their partition. */
export class NewsWaiters {
  readonly #byPartition = new Map<number, Set<() => void>>()

  get partitions(): Iterable<number> {
    return this.#byPartition.keys()
  }

  get isEmpty(): boolean {
    return this.#byPartition.size === 0
  }

  /** Resolves at the first of: news, `waitMs` passed, `stop` aborted. Never rejects. */
  wait(partition: number, clock: Clock, waitMs: number, stop: AbortSignal | undefined): Promise<void> {
    if (stop?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const waiters = this.#byPartition.get(partition) ?? new Set()
      this.#byPartition.set(partition, waiters)
      const end = () => {
        cancel()
        stop?.removeEventListener('abort', end)
        waiters.delete(end)
        if (waiters.size === 0 && this.#byPartition.get(partition) === waiters) this.#byPartition.delete(partition)
        resolve()
      }
      const cancel = clock.after(waitMs, end)
      stop?.addEventListener('abort', end)
      waiters.add(end)
    })
  }

  wake(partition: number): void {
    for (const end of [...(this.#byPartition.get(partition) ?? [])]) end()
  }

  wakeAll(): void {
    for (const partition of [...this.#byPartition.keys()]) this.wake(partition)
  }
}
