/**
 * What clients ask of hubs of events: a request on a link to `$management`, answered on the client's link from there.
 *
 *   operation READ, type com.microsoft:eventhub, name                 partitions
 *   operation READ, type com.microsoft:partition, name, partition     first and last number
 */

import { AnswerLinks } from '#ingest/amqp/answer-links.ts'
import { statusOf } from '#ingest/amqp/conditions.ts'
import type { IncomingLink, MessageTaker } from '#ingest/amqp/incoming-link.ts'
import type { OutgoingLink } from '#ingest/amqp/outgoing-link.ts'
import { type AmqpSession, acceptedState } from '#ingest/amqp/session.ts'
import { faultOf } from '#ingest/session/fault.ts'
import type { EventHub, PartitionRuntime } from '#pipeline/reading/reading.ts'
import { ReadMessage } from '#runtime/amqp/message.ts'
import { type Encoded, int, long, mapOf, stringArray, type Value } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'

interface ManagementRequest {
  readonly messageId: Encoded | null
  readonly hub: string
  /** `undefined`: it asks about the hub. */
  readonly partition: string | undefined
}

export interface ManagementDeskOptions {
  /** Rejects with what the client is to be told. */
  readonly hubNamed: (name: string) => Promise<EventHub>
  /** UTC milliseconds: there is nothing that knows when a log was made. */
  readonly openedAtMs: number
}

/** All such requests of one connection. */
export class ManagementDesk {
  readonly #options: ManagementDeskOptions
  readonly #answers = new AnswerLinks()
  #underWay = 0

  constructor(options: ManagementDeskOptions) {
    this.#options = options
  }

  takerOf(link: IncomingLink, session: AmqpSession): MessageTaker {
    return {
      creditWanted: () => limits.amqpTokensUnderWayMax - this.#underWay,
      take: (deliveryId, settled, _format, bytes, start, end) => {
        const request = requestFrom(new ReadMessage(bytes, start, end))
        if (!settled) session.settle(deliveryId, deliveryId, acceptedState)
        void this.#answer(request, session, link)
      },
    }
  }

  addAnswers(link: OutgoingLink): void {
    this.#answers.add(link)
  }

  /** Never rejects. */
  async #answer(
    { messageId, hub, partition }: ManagementRequest,
    session: AmqpSession,
    link: IncomingLink,
  ): Promise<void> {
    this.#underWay++
    try {
      const value = await this.#valueOf(await this.#options.hubNamed(hub), partition)
      this.#answers.answer(session, { messageId, status: 200, description: 'OK', value })
    } catch (error) {
      const fault = faultOf(error)
      this.#answers.answer(session, { messageId, status: statusOf(fault), description: fault.message })
    }
    this.#underWay--
    link.grant()
  }

  async #valueOf(hub: EventHub, partition: string | undefined): Promise<Value> {
    if (partition !== undefined) {
      const index = partitionIn(hub, partition)
      return partitionMap(hub, index, await hub.runtime(index))
    }
    return mapOf([
      ['name', hub.name],
      ['type', 'com.microsoft:eventhub'],
      ['created_at', new Date(this.#options.openedAtMs)],
      ['partition_count', int(hub.partitionCount)],
      ['partition_ids', stringArray(Array.from({ length: hub.partitionCount }, (_, index) => String(index)))],
      ['georeplication_factor', int(1)],
    ])
  }
}

/** @throws INGEST_ADDRESS_UNKNOWN */
export function partitionIn(hub: EventHub, text: string): number {
  const partition = Number(text)
  if (!/^\d{1,5}$/.test(text) || partition >= hub.partitionCount)
    throw new PenstockError(
      'INGEST_ADDRESS_UNKNOWN',
      // Some clients know by these words that it is of no use to ask again.
      `The messaging entity ${hub.name}/Partitions/${text.slice(0, 20)} could not be found: there are 0 to ${hub.partitionCount - 1}`,
    )
  return partition
}

function partitionMap(hub: EventHub, partition: number, runtime: PartitionRuntime): Value {
  const { isEmpty, sequenceFirst, sequenceLast, enqueuedAtMsLast } = runtime
  return mapOf([
    ['name', hub.name],
    ['type', 'com.microsoft:partition'],
    ['partition', String(partition)],
    ['begin_sequence_number', long(sequenceFirst)],
    ['last_enqueued_sequence_number', long(sequenceLast)],
    ['last_enqueued_offset', String(sequenceLast)],
    ['last_enqueued_time_utc', new Date(enqueuedAtMsLast ?? 0)],
    ['is_partition_empty', isEmpty],
  ])
}

/** @throws INGEST_BODY_MALFORMED, which ends the link */
function requestFrom(message: ReadMessage): ManagementRequest {
  const { applicationProperties: properties } = message
  const [type, name, partition] = ['type', 'name', 'partition'].map((key) => properties.get(key))
  if (properties.get('operation') !== 'READ' || typeof name !== 'string')
    throw new PenstockError('INGEST_BODY_MALFORMED', 'what is known of a hub of events is read, by its name')
  const messageId = message.rawField('messageId')
  if (type === 'com.microsoft:eventhub') return { messageId, hub: name, partition: undefined }
  if (type !== 'com.microsoft:partition' || typeof partition !== 'string')
    throw new PenstockError(
      'INGEST_BODY_MALFORMED',
      'there are com.microsoft:eventhub, and com.microsoft:partition with its partition',
    )
  return { messageId, hub: name, partition }
}
