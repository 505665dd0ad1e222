import { PenstockError } from '#schemas/errors.ts'

/** What is asked for in one statement. */
const countMax = 1_000
/** Look-ups waiting or under way; beyond it the store is slower than they come, and they are told to come back. */
const pendingMax = 50_000

interface Waiting<Found> {
  readonly promise: Promise<Found | undefined>
  readonly resolve: (found: Found | undefined) => void
  readonly reject: (error: unknown) => void
}

/**
 * Gathers look-ups into batches: one is under way at a time, and what arrives meanwhile makes up the next. A storm of
 * connections thus costs one statement a thousand devices. A single look-up is made at once.
 */
export class LookupBatch<Found> {
  readonly #ask: (keys: readonly string[]) => Promise<readonly Found[]>
  readonly #keyOf: (found: Found) => string
  readonly #batchMax: number
  readonly #waiting = new Map<string, Waiting<Found>>()
  #pending = 0
  #running = false

  /** @param keyOf what was asked for, of what was found */
  constructor(
    ask: (keys: readonly string[]) => Promise<readonly Found[]>,
    keyOf: (found: Found) => string,
    batchMax = countMax,
  ) {
    this.#ask = ask
    this.#keyOf = keyOf
    this.#batchMax = batchMax
  }

  /** Rejects as `ask` does, or with AUTH_DIRECTORY_UNAVAILABLE when too many wait. */
  lookup(key: string): Promise<Found | undefined> {
    const before = this.#waiting.get(key)
    if (before) return before.promise
    if (this.#pending >= pendingMax) {
      return Promise.reject(new PenstockError('AUTH_DIRECTORY_UNAVAILABLE', 'too many look-ups wait for the registry'))
    }
    let settle: Omit<Waiting<Found>, 'promise'> | undefined
    const promise = new Promise<Found | undefined>((resolve, reject) => {
      settle = { resolve, reject }
    })
    if (settle) this.#waiting.set(key, { promise, ...settle })
    this.#pending++
    if (!this.#running) {
      this.#running = true
      setImmediate(() => void this.#run())
    }
    return promise
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      const batch = this.#take()
      try {
        const found = new Map((await this.#ask([...batch.keys()])).map((one) => [this.#keyOf(one), one]))
        for (const [key, { resolve }] of batch) resolve(found.get(key))
      } catch (error) {
        for (const { reject } of batch.values()) reject(error)
      }
      this.#pending -= batch.size
    }
    this.#running = false
  }

  #take(): Map<string, Waiting<Found>> {
    const batch = new Map<string, Waiting<Found>>()
    for (const [key, waiting] of this.#waiting) {
      if (batch.size === this.#batchMax) break
      batch.set(key, waiting)
      this.#waiting.delete(key)
    }
    return batch
  }
}
