/**
 * Hands a dead letter to the endpoint that refused it, and to no other destination. The letter is a log of one batch: it lies on the
 * dead-letter topic, which names its range, its messages and its token, and how far it is delivered is noted beside it. So a table
 * stores it exactly once, message by message where it refuses some, as it does what comes from the log.
 */
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Assignment, LogRecord } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import { type PartitionTaskOptions, runPartition } from './partition-task.ts'
import { everything } from './range-selector.ts'

export interface LetterDelivery
  extends Pick<
    PartitionTaskOptions,
    'circuit' | 'clock' | 'deadLetters' | 'ended' | 'logger' | 'metrics' | 'permits' | 'random' | 'topic'
  > {
  readonly destination: TableSink | Endpoint
  readonly partition: number
  /** At its offset on the dead-letter topic, with the letter's bytes as its value. */
  readonly letter: LogRecord
  /** How far an earlier replay was. */
  readonly progress: string
  /** Writes down how far this one is. @throws LOG_GENERATION_STALE if it is another's by now */
  readonly onProgress: (note: string) => Promise<void>
  /** Writes down that all of it is delivered, or another letter. @throws as `onProgress` */
  readonly onSettled: () => Promise<void>
}

/** Until the letter is settled, another took it over, or `ended` aborts. Nobody waits for others to be delivered with it. */
export async function deliverLetter(options: LetterDelivery): Promise<void> {
  const { letter, topic, partition, destination, clock } = options
  const settled = new AbortController()
  const ended = AbortSignal.any([options.ended, settled.signal])
  const assignment: Assignment = {
    partition,
    generation: 0,
    position: { offset: letter.offset, metadata: options.progress },
    revoked: ended,
    async read(offset, _bytesMax, waitMs) {
      if (offset <= letter.offset) return [letter]
      await sleep(clock, waitMs, ended)
      return []
    },
    async commit({ offset, metadata }) {
      if (offset === letter.offset) return await options.onProgress(metadata)
      assert(offset === letter.offset + 1, `behind a letter at ${letter.offset} nothing is delivered at ${offset}`)
      await options.onSettled()
      settled.abort()
    },
  }
  await runPartition({
    ...options,
    ended,
    assignment,
    group: topic,
    start: undefined,
    untilBegun: async () => {},
    logId: async () => topic,
    range: async () => ({ first: letter.offset, next: letter.offset + 1 }),
    selector: everything,
    letterEndpoint: destination.name,
    insertDelayMs: 1,
    insertBeginMsMax: limits.insertBeginMsMax,
    readBytesMax: limits.recordBytesMax,
    skipSteps: new Set(),
    onOffset: () => {},
    onWait: () => {},
  })
}
