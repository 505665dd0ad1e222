/** What can't be delivered, and where it goes. */
import type { LogRecord } from '#pipeline/log/log.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'

export interface DeadLetterBox {
  /** Resolves once the letter is durable. @throws LOG_* with disposition `retry` if it may be tried again */
  put(letter: UndeliverableRecord): Promise<void>
  /**
   * How many messages became letters of one endpoint, or of the log's own destination if none is named, by the offset of their batch.
   * Reads the whole box. @throws LOG_UNAVAILABLE
   */
  lettered(topic: string, partition: number, endpoint?: string): Promise<ReadonlyMap<number, number>>
}

export interface UndeliverableRecord {
  readonly topic: string
  readonly partition: number
  /** Its value holds what is given up, its stamp counts it. */
  readonly record: LogRecord
  /** Which message of the batch at this offset is its first. */
  readonly messageFirst: number
  readonly reason: DeadLetterReason
  readonly text: string
  /** Name of the endpoint that refused it, which alone gets it again; `undefined`: it is replayed to the log, and so to everybody. */
  readonly endpoint?: string | undefined
  /** Id of the replay of the log in which it was refused. */
  readonly replay?: string | undefined
}
