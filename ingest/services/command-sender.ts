/**
 * Commands from services, on a link to `/messages/devicebound`: `to` says for whom, as the hub's clients write it.
 *
 *   message ─▶ the same as JSON ─▶ service API ─▶ accepted, or rejected with its reason
 */

import type { IncomingLink, MessageTaker } from '#ingest/amqp/incoming-link.ts'
import { type MessageTexts, messageTexts } from '#ingest/amqp/message-properties.ts'
import { type AmqpSession, acceptedState } from '#ingest/amqp/session.ts'
import { faultOf } from '#ingest/session/fault.ts'
import { type MessageField, ReadMessage } from '#runtime/amqp/message.ts'
import type { ReadValue } from '#runtime/amqp/read-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { refusalIn, type ServiceAnswer } from './service-requests.ts'

/** Asks the service API for the service at the other end. */
export type AskForCommand = (body: string) => Promise<ServiceAnswer>

export class CommandSender implements MessageTaker {
  readonly #ask: AskForCommand
  readonly #link: IncomingLink
  readonly #session: AmqpSession
  #underWay = 0

  constructor(ask: AskForCommand, link: IncomingLink, session: AmqpSession) {
    this.#ask = ask
    this.#link = link
    this.#session = session
  }

  creditWanted(): number {
    return limits.amqpCommandsUnderWayMax - this.#underWay
  }

  take(deliveryId: number, settled: boolean, _format: number, bytes: Buffer, start: number, end: number): void {
    let document: string
    try {
      document = commandDocument(new ReadMessage(bytes, start, end))
    } catch (error) {
      // One message that cannot be read is no reason against those behind it.
      if (settled || !(error instanceof PenstockError) || error.disposition !== 'reject') throw error
      this.#session.rejected(deliveryId, error)
      return
    }
    void this.#send(document, deliveryId, settled)
  }

  /** Never rejects. */
  async #send(document: string, deliveryId: number, settled: boolean): Promise<void> {
    this.#underWay++
    let refused: PenstockError | undefined
    try {
      refused = refusalIn(await this.#ask(document))
    } catch (error) {
      refused = faultOf(error)
    }
    this.#underWay--
    if (!this.#link.isOpen) return
    if (refused !== undefined && !settled) this.#session.rejected(deliveryId, refused)
    else if (!settled) this.#session.settle(deliveryId, deliveryId, acceptedState)
    this.#link.grant()
  }
}

/** Keys of the hub's property bag by the names under which such properties of telemetry are stored. */
const bagKeys: readonly (readonly [stored: string, key: string])[] = [
  ['messageId', 'mid'],
  ['correlationId', 'cid'],
  ['userId', 'uid'],
  ['contentType', 'ct'],
  ['contentEncoding', 'ce'],
  ['expiry', 'exp'],
]

/** What `POST /api/commands` takes. @throws INGEST_BODY_MALFORMED, INGEST_MESSAGE_TOO_LARGE, INGEST_FRAME_MALFORMED */
function commandDocument(message: ReadMessage): string {
  const to = message.field('to' satisfies MessageField)
  if (typeof to !== 'string')
    throw new PenstockError('INGEST_BODY_MALFORMED', 'a command says in `to` for which device it is')
  if (message.hasOtherBody) throw new PenstockError('INGEST_BODY_MALFORMED', 'the body of a command is bytes or a text')
  const { application, system } = messageTexts(message)
  const ack = ackOf(message.applicationProperties.get('iothub-ack'))
  application.delete('iothub-ack')
  const properties = Object.fromEntries(application)
  const body = message.body.toString('base64')
  return JSON.stringify({ to, ack, systemProperties: bagOf(system), properties, body })
}

function bagOf(system: MessageTexts['system']): Record<string, string> {
  const entries = bagKeys.flatMap(([stored, key]) => {
    const text = system.get(stored)
    return text === undefined ? [] : [[key, text] as const]
  })
  return Object.fromEntries(entries)
}

function ackOf(value: ReadValue | undefined): string {
  return typeof value === 'string' ? value : 'none'
}
