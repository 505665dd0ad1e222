import { join } from 'node:path'
import type { Log } from '#pipeline/log/log.ts'
import { openLog } from '#pipeline/log/open-log.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Settings } from '#schemas/settings.ts'

/** Group under which workers keep their positions. */
export function workerGroup(settings: Settings): string {
  return `${settings.topicPrefix}.warehouse`
}

/** Opens the log that the settings choose, on one of Penstock's topics. */
export function openRoleLog(
  settings: Settings,
  logger: Logger,
  topic: 'telemetry' | 'dead-letters' | 'events' = 'telemetry',
): Promise<Log> {
  const options = {
    topic: `${settings.topicPrefix}.${topic}`,
    partitionCount: topic === 'telemetry' ? settings.partitions : 1,
    logger,
  }
  return settings.kafkaBrokers === undefined
    ? openLog({ kind: 'lmdb', dataDir: join(settings.dataDir, 'log'), ...options })
    : openLog({
        kind: 'kafka',
        brokers: settings.kafkaBrokers.split(',').map((broker) => broker.trim()),
        replicas: settings.kafkaReplicas,
        retention: {
          ageMsMax: settings.logRetentionHours * 3_600_000,
          partitionBytesMax: settings.logRetentionMegabytes * 1_000_000,
        },
        ...options,
      })
}
