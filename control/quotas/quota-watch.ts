import type { Invalidations } from '#control/store/changes.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { QuotaOverride, QuotaSource } from './quotas.ts'

const retryDelayMs = 500

/** What an edge process knows of the quotas of single devices: all of them, read again after each change. */
export class QuotaWatch {
  readonly #directory: QuotaSource & Invalidations
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #closed = new AbortController()
  readonly #unwatch: () => void
  #quotas: readonly QuotaOverride[] = []
  #onQuotas: (quotas: readonly QuotaOverride[]) => void = () => {}
  #changes = 0
  #reading = false

  private constructor(directory: QuotaSource & Invalidations, clock: Clock, logger: Logger) {
    this.#directory = directory
    this.#clock = clock
    this.#logger = logger
    this.#unwatch = directory.onInvalidate(({ kind }) => {
      if (kind !== 'quotas' && kind !== 'everything') return
      this.#changes++
      void this.#readAgain()
    })
  }

  /** @throws as `QuotaSource.quotas` */
  static async open(directory: QuotaSource & Invalidations, clock: Clock, logger: Logger): Promise<QuotaWatch> {
    const watch = new QuotaWatch(directory, clock, logger)
    watch.#quotas = await directory.quotas()
    return watch
  }

  /** Calls back with all quotas, at once and after each change; the registry that does not answer leaves them as they are. */
  listen(onQuotas: (quotas: readonly QuotaOverride[]) => void): void {
    this.#onQuotas = onQuotas
    onQuotas(this.#quotas)
  }

  close(): void {
    this.#closed.abort()
    this.#unwatch()
  }

  async #readAgain(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    const { signal } = this.#closed
    let read = -1
    while (read !== this.#changes && !signal.aborted) {
      const changes = this.#changes
      try {
        this.#quotas = await this.#directory.quotas()
        read = changes
        if (!signal.aborted) this.#onQuotas(this.#quotas)
      } catch (error) {
        this.#logger.warn('quotas of devices could not be read again; trying again', { error })
        await sleep(this.#clock, retryDelayMs, signal)
      }
    }
    this.#reading = false
  }
}
