/**
 * Hands a dead letter to the endpoint that refused it, and to no other destination. The letter is a range of its own, on the dead-letter topic: its
 * messages and requests are named by where it lies there, so whoever hands it over again does so under the same names.
 */
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { LogRecord } from '#pipeline/log/log.ts'
import { deliverRequests } from './deliver-requests.ts'
import type { DeliveryOptions, DeliveryOutcome } from './delivery.ts'
import { tokenOf } from './intent.ts'
import type { LetterOptions } from './put-letter.ts'
import { everything } from './range-selector.ts'

export interface LetterDelivery extends Omit<LetterOptions, 'delivery'> {
  readonly endpoint: Endpoint
  readonly delivery: DeliveryOptions
  /** The dead-letter topic. */
  readonly topic: string
  readonly partition: number
}

/**
 * @param letter at its offset on the dead-letter topic, with the letter's bytes as its value
 * @returns `stored` once all of it is delivered; what is refused again is another letter
 * @throws BATCH_CORRUPT if the letter's bytes can't be read
 */
export async function deliverLetter(options: LetterDelivery, letter: LogRecord): Promise<DeliveryOutcome> {
  const { endpoint, topic, partition } = options
  const { offset, stamp } = letter
  const { messageCount, enqueuedAtMsFirst, enqueuedAtMsLast } = stamp
  const range = { topic, partition, first: offset, last: offset, messageCount, enqueuedAtMsFirst, enqueuedAtMsLast }
  const selected = await everything.select(range, [letter], undefined)
  const requests = { ...options, letterEndpoint: endpoint.name, stampOf: () => stamp, onDelivered: () => {} }
  // The note that the replay was begun stands for the intent: operators write it before.
  return await deliverRequests(requests, { range, token: tokenOf(range, stamp) }, selected, async () => {})
}
