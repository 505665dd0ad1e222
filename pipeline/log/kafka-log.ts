import { PenstockError } from '#schemas/errors.ts'
import type { Log } from './log.ts'
import type { KafkaLogOptions } from './open-log.ts'

/** Opens a topic on Apache Kafka. @throws LOG_PARTITIONS_MISMATCH, LOG_UNAVAILABLE */
export async function openKafkaLog(options: KafkaLogOptions): Promise<Log> {
  throw new PenstockError('LOG_UNAVAILABLE', `no Kafka adapter yet for ${options.topic}`)
}
