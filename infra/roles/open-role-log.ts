import { join } from 'node:path'
import type { Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open/open-log.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type LogTopicName, logTopic } from '#schemas/log-topics.ts'
import type { Settings } from '#schemas/settings.ts'
import { brokersOf, kafkaAccessOf } from './kafka-access.ts'

/** Group under which workers keep their positions. */
export function workerGroup(settings: Settings): string {
  return `${settings.topicPrefix}.warehouse`
}

/** Every partition of a usual log must be able to hold some batches, or nothing ever fits. */
const logMegabytesMin = 64

/** Opens the log that the settings choose, on one of Penstock's topics. */
export async function openRoleLog(settings: Settings, logger: Logger, topic: LogTopicName = 'telemetry'): Promise<Log> {
  if (settings.logMegabytesMax > 0 && settings.logMegabytesMax < logMegabytesMin)
    throw new PenstockError('SETTINGS_INVALID', `PENSTOCK_LOG_MEGABYTES_MAX must be 0 or at least ${logMegabytesMin}`)
  const options = {
    topic: logTopic(settings.topicPrefix, topic),
    partitionCount: topic === 'telemetry' ? settings.partitions : 1,
    logger,
  }
  return settings.kafkaBrokers === undefined
    ? openLog({
        kind: 'lmdb',
        dataDir: join(settings.dataDir, 'log'),
        bytesMax: topic === 'telemetry' ? settings.logMegabytesMax * 1_000_000 : 0,
        ...options,
      })
    : openLog({
        kind: 'kafka',
        brokers: brokersOf(settings.kafkaBrokers),
        access: kafkaAccessOf(settings),
        replicas: settings.kafkaReplicas,
        // A dead letter waits for an operator, as it does on the embedded log; how partitions grew is asked for ever.
        retention:
          topic === 'dead-letters' || topic === 'partitions'
            ? 'none'
            : {
                ageMsMax: settings.logRetentionHours * 3_600_000,
                partitionBytesMax: settings.logRetentionMegabytes * 1_000_000,
              },
        ...options,
      })
}
