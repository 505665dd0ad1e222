/** With what a log is opened, whichever keeps it. */
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { KafkaAccess } from './kafka-access.ts'
import type { LogOptions } from './log.ts'

interface OpenLogShared extends LogOptions {
  readonly logger: Logger
  readonly clock?: Clock
  /** A group member that was not heard of for so long loses its partitions; default 10 s. */
  readonly sessionMs?: number
}

/** The embedded log: one LMDB environment a topic, in `dataDir`. */
export interface LmdbLogOptions extends OpenLogShared {
  readonly kind: 'lmdb'
  readonly dataDir: string
  /** Bytes of records above which appends are LOG_DISK_FULL; 0 (the default): as many as the disk holds. */
  readonly bytesMax?: number
}

/** Apache Kafka 3.1 or later. */
export interface KafkaLogOptions extends OpenLogShared {
  readonly kind: 'kafka'
  /** `host:port` of brokers to ask first. */
  readonly brokers: readonly string[]
  /** Left out: neither TLS nor a user. */
  readonly access?: KafkaAccess
  /** Replicas of the topic if it is created; `min.insync.replicas` is then a majority of them. */
  readonly replicas: number
  /** Retention of the topic if it is created; `'none'` keeps every record. */
  readonly retention: { readonly ageMsMax: number; readonly partitionBytesMax: number } | 'none'
}

export type OpenLogOptions = LmdbLogOptions | KafkaLogOptions
