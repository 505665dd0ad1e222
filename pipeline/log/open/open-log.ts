import type { Log } from '../log.ts'
import type { OpenLogOptions } from '../log-options.ts'

export { readKafkaTls } from '../kafka/tls.ts'

/**
 * Opens a topic on the chosen log, and creates it if there is none.
 * @throws LOG_PARTITIONS_MISMATCH, LOG_DATA_UNREADABLE, LOG_LOCKED, LOG_SERVER_TOO_OLD, LOG_ACCESS_REFUSED,
 *   TLS_FILES_INVALID, LOG_UNAVAILABLE, DEPENDENCY_MISSING
 */
export async function openLog(options: OpenLogOptions): Promise<Log> {
  switch (options.kind) {
    case 'lmdb': {
      const { openLmdbLog } = await import('../lmdb/lmdb-log.ts')
      return openLmdbLog(options)
    }
    case 'kafka': {
      const { openKafkaLog } = await import('../kafka/kafka-log.ts')
      return openKafkaLog(options)
    }
  }
}
