import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'
import { type BatchTable, warehouseDatabase } from '#schemas/telemetry-table.ts'
import { type DependentView, dependentViews } from './dependent-views.ts'

export interface WatchViewsOptions {
  readonly warehouse: Warehouse
  readonly table: BatchTable
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  /** Aborted when watching is to end. */
  readonly stopping: AbortSignal
}

/** A view that fails on and on is named this often. */
const saidAgainMs = 60_000

/** Names the views over `table` in a warning when it begins and when they change, and those that fail; counts both. */
export async function watchViews(options: WatchViewsOptions): Promise<void> {
  const { warehouse, table, logger, clock, stopping } = options
  const watch = new ViewsWatch(options)
  while (!stopping.aborted) {
    try {
      watch.take(await dependentViews(warehouse, table))
    } catch (error) {
      if (!isPenstockError(error)) throw error
      logger.debug('the views over a table are not known', { table, error })
    }
    await sleep(clock, limits.viewsLookedAtMs, stopping)
  }
}

class ViewsWatch {
  readonly #options: WatchViewsOptions
  #named = ''
  readonly #saidMonotonicMs = new Map<string, number>()

  constructor(options: WatchViewsOptions) {
    this.#options = options
    this.#count([], 0)
  }

  take(views: readonly DependentView[]): void {
    const { table, logger, clock } = this.#options
    const names = views.map(({ name }) => name).join(', ')
    if (names !== this.#named)
      logger.warn('materialized views hang on a table; what they hold is not guaranteed', {
        table: `${warehouseDatabase}.${table}`,
        views: names === '' ? 'none any more' : names,
      })
    this.#named = names
    const failing = views.filter(({ failure }) => failure && failure.ageMs <= limits.viewFailureFreshMs)
    this.#count(views, failing.length)
    const nowMs = clock.monotonicMs()
    for (const { name, target, failure } of failing) {
      if (nowMs - (this.#saidMonotonicMs.get(name) ?? Number.NEGATIVE_INFINITY) < saidAgainMs) continue
      this.#saidMonotonicMs.set(name, nowMs)
      logger.warn('a materialized view failed; the rows are stored, and the view lacks them', {
        view: name,
        target,
        secondsAgo: Math.round((failure?.ageMs ?? 0) / 1_000),
        text: failure?.text,
      })
    }
  }

  #count(views: readonly DependentView[], failing: number): void {
    const { metrics } = this.#options
    metrics.series('penstock_worker_views').set(views.length)
    metrics.series('penstock_worker_views_failing').set(failing)
  }
}
