import { sleep } from '#runtime/clock.ts'
import type { DeadLetterReason } from '#schemas/dead-letter.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { DeliveryOptions } from './delivery.ts'
import type { DeadLetterBox, UndeliverableRecord } from './undeliverable.ts'

const retryDelayMs = 500

export interface LetterOptions {
  readonly delivery: Pick<DeliveryOptions, 'ended' | 'clock' | 'logger' | 'onWait'>
  readonly deadLetters: DeadLetterBox
  readonly onLetter: (reason: DeadLetterReason, messageCount: number) => void
}

/** Tries until the letter is durable; false if the assignment ended first. */
export async function putLetter(
  { deadLetters, delivery, onLetter }: LetterOptions,
  letter: UndeliverableRecord,
): Promise<boolean> {
  const { ended, clock, logger, onWait } = delivery
  const { partition, record, messageFirst, reason, text, endpoint } = letter
  const { messageCount } = record.stamp
  while (!ended.aborted) {
    try {
      await deadLetters.put(letter)
      const { offset } = record
      logger.error('sent to dead letters', { partition, offset, messageFirst, messageCount, reason, text, endpoint })
      onLetter(reason, messageCount)
      return true
    } catch (error) {
      if (!isPenstockError(error) || error.disposition !== 'retry') throw error
      logger.warn('dead letter not confirmed', { partition, error })
      onWait(error)
      await sleep(clock, retryDelayMs, ended)
    }
  }
  return false
}
