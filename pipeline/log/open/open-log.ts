import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../log.ts'
import type { CopyableLog, LogContents, PlacedRecord } from '../log-copy.ts'
import type { LmdbLogOptions, OpenLogOptions } from '../log-options.ts'

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

/** Opens an embedded log for a backup. @throws as `openLog` */
export async function openCopyableLog(options: LmdbLogOptions): Promise<CopyableLog> {
  const { openLmdbLog } = await import('../lmdb/lmdb-log.ts')
  return openLmdbLog(options)
}

/** True if there is an embedded log of this topic. */
export async function hasEmbeddedLog(dataDir: string, topic: string): Promise<boolean> {
  const { lmdbFolder } = await import('../lmdb/store.ts')
  return existsSync(join(lmdbFolder(dataDir, topic), 'data.mdb'))
}

/** Makes an embedded log anew as a backup has it. @throws LOG_DATA_UNREADABLE if there is one already */
export async function restoreLog(
  dataDir: string,
  contents: LogContents,
  records: AsyncIterable<PlacedRecord>,
): Promise<void> {
  const { writeLmdbLog } = await import('../lmdb/copy.ts')
  await writeLmdbLog(dataDir, contents, records)
}
