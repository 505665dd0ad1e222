/**
 * What is sent to a device, as messages of AMQP (the hub's own spelling):
 *
 *   commands       properties and application properties, with a tag of 16 bytes: it is the lock token that some clients settle by
 *   methods        correlation id, a UUID, application property IoThub-methodname, body
 *   twin answers   correlation id of the request, annotations status and version, body
 *   desired        annotations resource and version, body
 */

import { randomBytes } from 'node:crypto'
import type {
  CommandDelivery,
  Delivery,
  DesiredDelivery,
  MethodDelivery,
  Outcome,
  RegistrationDelivery,
  TwinAnswerDelivery,
} from '#ingest/session/delivery.ts'
import { type MessageField, writeMessage } from '#runtime/amqp/message.ts'
import { Encoded, int, long, symbol, uuid, type Value } from '#runtime/amqp/write-values.ts'
import type { SendOutcome } from './outgoing-link.ts'

/** Fields by the keys of the hub's property bag; what has none is an annotation. */
const commandFields: Readonly<Record<string, MessageField>> = {
  mid: 'messageId',
  cid: 'correlationId',
  uid: 'userId',
  to: 'to',
  ct: 'contentType',
  ce: 'contentEncoding',
  exp: 'expiry',
}

const lockTokenBytes = 16

export interface WrittenDelivery {
  readonly payload: Buffer
  readonly tag: Buffer
  /** Nothing is heard of it. */
  readonly settled: boolean
}

/** What devices are sent; whoever registers is answered beside it (`registrations.ts`). */
export type DeviceDelivery = Exclude<Delivery, RegistrationDelivery>

/** @param correlationOf the id of a request as its sender wrote it */
export function writtenDelivery(
  delivery: DeviceDelivery,
  correlationOf: (requestId: string) => Value,
): WrittenDelivery {
  switch (delivery.feed) {
    case 'commands':
      return command(delivery)
    case 'methods':
      return unheard(method(delivery))
    case 'twinAnswers':
      return unheard(twinAnswer(delivery, correlationOf(delivery.requestId)))
    case 'desired':
      return unheard(desired(delivery))
  }
}

function unheard(payload: Buffer): WrittenDelivery {
  return { payload, tag: randomBytes(4), settled: true }
}

function command({ systemProperties, applicationProperties, body }: CommandDelivery): WrittenDelivery {
  const tag = randomBytes(lockTokenBytes)
  const properties: Partial<Record<MessageField, Value>> = {}
  for (const [key, text] of systemProperties) {
    const field = commandFields[key]
    if (field !== undefined) properties[field] = commandField(field, text)
  }
  const annotations = [[symbol('x-opt-lock-token'), new Encoded(Buffer.concat([Buffer.from([0x98]), tag]))]] as const
  const payload = writeMessage({ annotations, properties, applicationProperties, body })
  return { payload, tag, settled: false }
}

function commandField(field: MessageField, text: string): Value {
  if (field === 'userId') return Buffer.from(text)
  if (field === 'contentType' || field === 'contentEncoding') return symbol(text)
  if (field !== 'expiry') return text
  const moment = new Date(text)
  return Number.isNaN(moment.getTime()) ? null : moment
}

function method({ requestId, name, body }: MethodDelivery): Buffer {
  return writeMessage({
    properties: { correlationId: uuid(requestId) },
    applicationProperties: [['IoThub-methodname', name]],
    body,
  })
}

function twinAnswer({ status, version, body }: TwinAnswerDelivery, correlationId: Value): Buffer {
  const annotations: [Value, Value][] = [[symbol('status'), int(status)]]
  if (version !== undefined) annotations.push([symbol('version'), long(version)])
  return writeMessage({ annotations, properties: { correlationId }, body })
}

function desired({ version, body }: DesiredDelivery): Buffer {
  return writeMessage({
    annotations: [
      [symbol('resource'), '/properties/desired'],
      [symbol('version'), long(version)],
    ],
    body,
  })
}

/** What the client's word for it means here. */
export function outcomeFrom(outcome: SendOutcome): Outcome {
  switch (outcome) {
    case 'accepted':
      return 'acknowledged'
    case 'released':
      return 'abandoned'
    default:
      return outcome
  }
}
