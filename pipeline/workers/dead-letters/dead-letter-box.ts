import type { Log } from '#pipeline/log/log.ts'
import type { Warehouse } from '#pipeline/warehouse/warehouse.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { systemClock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { bytesFromLetter, type DeadLetter } from '#schemas/dead-letter.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { deadLetterInsert } from '#schemas/telemetry-table.ts'
import type { DeadLetterBox } from '../undeliverable.ts'
import { listLetteredBatches } from './dead-letter-states.ts'

export interface DeadLetterBoxOptions {
  /** The dead-letter topic, `<prefix>.dead-letters`. */
  readonly log: Log
  /** Gets a copy in `penstock.dead_letters`, so that analysts see it; the topic alone decides. */
  readonly warehouse: Warehouse | undefined
  readonly logger: Logger
  readonly clock?: Clock
}

/** Letters are durable on the dead-letter topic when `put` resolves; the copy in ClickHouse is tried once. */
export function openDeadLetterBox({
  log,
  warehouse,
  logger,
  clock = systemClock,
}: DeadLetterBoxOptions): DeadLetterBox {
  return {
    async lettered(topic, partition, endpoint) {
      const counts = new Map<number, number>()
      for (const [offset, { letters }] of (await listLetteredBatches(log, topic, endpoint)).get(partition) ?? [])
        counts.set(
          offset,
          [...letters.values()].reduce((sum, { messageCount }) => sum + messageCount, 0),
        )
      return counts
    },
    async put({ topic, partition, record, messageFirst, reason, text, endpoint, replay }) {
      const { offset, stamp, value: bytes } = record
      const { messageCount } = stamp
      assert(
        messageCount >= 1 && messageFirst >= 0,
        `a letter holds messages, not ${messageCount} from ${messageFirst} on`,
      )
      const named = { ...(endpoint !== undefined && { endpoint }), ...(replay !== undefined && { replay }) }
      const atMs = clock.nowMs()
      const letter = { topic, partition, offset, messageFirst, reason, text, atMs, messageCount, ...named, bytes }
      const home = partition % log.partitionCount
      try {
        await log.append(home, stamp, bytesFromLetter(letter))
      } catch (error) {
        if (!isPenstockError(error, 'LOG_RECORD_TOO_LARGE')) throw error
        // A record of the very largest size leaves no room for the head. The original stays where it is for as long as
        // its log keeps it, and the copy below has the bytes.
        await log.append(
          home,
          stamp,
          bytesFromLetter({ ...letter, text: `bytes left out: ${text}`, bytes: new Uint8Array() }),
        )
      }
      if (!warehouse) return
      try {
        await warehouse.insert(deadLetterInsert, [jsonRow(letter)], { async_insert: '0' })
      } catch (error) {
        if (!isPenstockError(error)) throw error
        // It may be there all the same; no one but analysts goes by it.
        logger.warn('the copy of a dead letter was not confirmed', { partition, offset, error })
      }
    },
  }
}

function jsonRow({ bytes, replay: _, ...head }: Omit<DeadLetter, 'kind'>): Uint8Array {
  return Buffer.from(`${JSON.stringify({ ...head, bytes: Buffer.from(bytes).toString('base64') })}\n`)
}
