import type { Invalidations } from '#control/store/changes.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import type { QuotaOverride, QuotaSource } from './quotas.ts'

const readBackOff: BackOff = { firstMs: 500, factor: 1, maxMs: 500, jitter: 0 }

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
    while (read !== this.#changes && !signal.aborted) read = await this.#read()
    this.#reading = false
  }

  /** Until it succeeds, or was closed. @returns the number of changes that it is as new as */
  #read(): Promise<number> {
    const { signal } = this.#closed
    const attempt = async (): Promise<number> => {
      const changes = this.#changes
      this.#quotas = await this.#directory.quotas()
      if (!signal.aborted) this.#onQuotas(this.#quotas)
      return changes
    }
    return retry(attempt, {
      backOff: readBackOff,
      clock: this.#clock,
      until: signal,
      isRetryable: () => true,
      onRetry: (error) => this.#logger.warn('quotas of devices could not be read again; trying again', { error }),
    }).catch(() => -1)
  }
}
