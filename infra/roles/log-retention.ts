import type { Log } from '#pipeline/log/log.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { MetricName } from '#schemas/metrics.ts'

const retentionDelayMs = 60_000

/** What endpoints need of the log. */
export interface EndpointRetention {
  /** Groups of endpoints and of replays begin so: they lose what is removed, but for those that `heldBy` names. */
  readonly expiringPrefixes: readonly string[]
  /** @throws STORE_UNAVAILABLE: then nothing is removed this time */
  readonly heldBy: () => Promise<readonly string[]>
}

export interface LogRetentionOptions {
  readonly log: Log
  /** Delivers from the log; it may not have joined yet, where the warehouse was away since the first start. */
  readonly group: string
  /** Left out: the log has no endpoints. */
  readonly endpoints?: EndpointRetention
  readonly ageMsMax: number
  readonly partitionBytesMax: number
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
  readonly clock: Clock
  readonly stopping: AbortSignal
}

/**
 * Removes what is delivered and too old or too much from the embedded log, every minute; Kafka does this itself. What is not
 * delivered is never removed: where that makes a partition larger than it should be, it is said as an error each time, and
 * `PENSTOCK_LOG_MEGABYTES_MAX` or the disk ends it by making devices wait.
 */
export async function keepRetention(options: LogRetentionOptions): Promise<void> {
  const { log, logger, metrics, clock, stopping, partitionBytesMax, endpoints } = options
  const kept = metrics.series('penstock_log_kept_bytes')
  const overLimit = metrics.series('penstock_log_undelivered_over_limit_bytes')
  while (!stopping.aborted) {
    try {
      const held = (await endpoints?.heldBy()) ?? []
      const policy = {
        nowMs: clock.nowMs(),
        ageMsMax: options.ageMsMax,
        partitionBytesMax,
        neededBy: [options.group, ...held],
        expiringPrefixes: endpoints?.expiringPrefixes,
        force: false,
      }
      const { removedRecords, keptBytes, overLimitBytes } = await log.retain(policy)
      kept.set(keptBytes)
      overLimit.set(overLimitBytes)
      if (removedRecords > 0) logger.info('log retention', { removedRecords })
      if (overLimitBytes > 0)
        logger.error(
          'the log is larger than its retention because batches are not delivered: is the warehouse there?',
          {
            overLimitBytes,
            keptBytes,
            partitionBytesMax,
          },
        )
    } catch (error) {
      logger.warn('log retention failed and is tried again', { error: error as Error })
    }
    await sleep(clock, retentionDelayMs, stopping)
  }
}
