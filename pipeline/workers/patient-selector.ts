import type { DeliveryRange } from '#pipeline/endpoints/delivery-range.ts'
import type { SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { type BackOff, retry } from '#runtime/retry.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { DeliveryOptions } from './delivery.ts'
import type { RangeSelector } from './range-selector.ts'

const pauses: BackOff = { firstMs: 100, factor: 2, maxMs: 5_000, jitter: 0.5 }

/** Selects again and again while what it has to ask is away, until the assignment ends: nothing is left out for that. */
export class PatientSelector implements RangeSelector {
  readonly selectsEverything: boolean
  readonly #selector: RangeSelector
  readonly #delivery: Pick<DeliveryOptions, 'clock' | 'ended' | 'logger' | 'onWait'>

  constructor(selector: RangeSelector, delivery: Pick<DeliveryOptions, 'clock' | 'ended' | 'logger' | 'onWait'>) {
    this.selectsEverything = selector.selectsEverything
    this.#selector = selector
    this.#delivery = delivery
  }

  select(range: DeliveryRange, records: readonly LogRecord[], revision: string | undefined): Promise<SelectedRange> {
    const { clock, ended, logger, onWait } = this.#delivery
    const onRetry = (error: unknown, { failures }: { readonly failures: number }): void => {
      if (isPenstockError(error)) onWait(error)
      if (failures === 1)
        logger.warn('what is to be delivered cannot be selected yet', { partition: range.partition, error })
    }
    return retry(() => this.#selector.select(range, records, revision), {
      backOff: pauses,
      clock,
      until: ended,
      onRetry,
    })
  }
}
