/**
 * Registration over AMQP, as the hub's provisioning service has it: a link in each direction, both to `{scope}/registrations/{id}`.
 *
 *   request   application properties iotdps-operation-type and iotdps-operation-id, correlation id, body as over HTTP
 *     iotdps-register               it wants a hub
 *     iotdps-get-operationstatus    what became of that, by the operation's id
 *     iotdps-get-registration       what became of it last
 *   answer    on the other link: correlation id as it was written, application properties iotdps-status and retry-after, body as over HTTP
 *   refusal   the request is rejected: its document as description, retry-after beside it
 *
 * A request is settled once its answer is there; until then it takes a place of the link's credit.
 */
import { randomBytes } from 'node:crypto'
import type { ProvisioningAnswer } from '#control/provisioning/provisioning.ts'
import { refusedAnswer } from '#control/provisioning/provisioning-json.ts'
import type { Provisioning } from '#ingest/device-api/provisioning.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Registrant } from '#ingest/session/principal.ts'
import { ReadMessage, writeMessage } from '#runtime/amqp/message.ts'
import { type Encoded, int, type Value } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { registrationErrorOf } from './conditions.ts'
import type { IncomingLink } from './incoming-link.ts'
import type { OutgoingLink } from './outgoing-link.ts'
import type { Seat } from './seats.ts'
import { type AmqpSession, acceptedState } from './session.ts'

export interface RegistrationParts {
  readonly edge: EdgeContext
  readonly provisioning: Provisioning
  /** Of who registers. */
  readonly seat: Seat
  /** It sent something in the chunk that is being read. */
  readonly touched: (seat: Seat) => void
}

/** A request whose answer is awaited. */
interface Asked {
  readonly link: IncomingLink
  readonly session: AmqpSession
  readonly deliveryId: number
  readonly settled: boolean
  readonly correlationId: Encoded | null
}

/** Of one who registers. */
export class RegistrationDesk {
  readonly #parts: RegistrationParts
  /** The newest counts. */
  #answers: OutgoingLink | undefined = undefined
  #underWay = 0

  constructor(parts: RegistrationParts) {
    this.#parts = parts
  }

  answerOn(link: OutgoingLink): void {
    this.#parts.seat.add(link, () => {
      if (this.#answers === link) this.#answers = undefined
    })
    this.#answers = link
    link.accept()
  }

  takeFrom(link: IncomingLink, session: AmqpSession): void {
    const { seat } = this.#parts
    seat.add(link, () => {})
    link.accept({
      creditWanted: () => (seat.isHeld ? 0 : limits.deviceRequestsUnderWayMax - this.#underWay),
      take: (deliveryId, settled, _format, bytes, start, end) => {
        this.#count(end - start)
        const message = new ReadMessage(bytes, start, end)
        const correlationId = message.rawField('correlationId')
        void this.#answer({ link, session, deliveryId, settled, correlationId }, message)
      },
    })
  }

  #count(bytes: number): void {
    const { edge, seat, touched } = this.#parts
    if (seat.messages === 0) touched(seat)
    seat.messages++
    seat.bytes += bytes
    edge.unstoredMessages++
  }

  /** Never rejects. */
  async #answer(asked: Asked, message: ReadMessage): Promise<void> {
    this.#underWay++
    const answer = await this.#ask(message)
    this.#underWay--
    if (asked.link.isClosed) return
    this.#tell(asked, answer)
    asked.link.grant()
  }

  #ask({ applicationProperties: properties, body }: ReadMessage): Promise<ProvisioningAnswer> {
    const { provisioning } = this.#parts
    const operation = properties.get('iotdps-operation-type')
    const operationId = properties.get('iotdps-operation-id')
    switch (operation) {
      case 'iotdps-register':
        return provisioning.register(this.#registrant, Buffer.from(body))
      case 'iotdps-get-operationstatus':
        return provisioning.status(this.#registrant, typeof operationId === 'string' ? operationId : '')
      case 'iotdps-get-registration':
        return provisioning.lookup(this.#registrant)
      default:
        return Promise.resolve(refusedAnswer(new PenstockError('PROVISIONING_REQUEST_INVALID', unknownOperation)))
    }
  }

  #tell({ session, deliveryId, settled, correlationId }: Asked, answer: ProvisioningAnswer): void {
    const { status, retryAfterSeconds, body } = answer
    if (status >= 300 && !settled) {
      session.rejectedFor(deliveryId, registrationErrorOf(answer))
      return
    }
    if (!settled) session.settle(deliveryId, deliveryId, acceptedState)
    const properties: [string, Value][] = [['iotdps-status', int(status)]]
    if (retryAfterSeconds !== undefined) properties.push(['retry-after', String(retryAfterSeconds)])
    const payload = writeMessage({
      properties: { correlationId },
      applicationProperties: properties,
      body: Buffer.from(body),
    })
    void this.#answers?.send(payload, randomBytes(4), true)
  }

  get #registrant(): Registrant {
    const { registrant } = this.#parts.seat.session
    assert(registrant !== undefined, 'only who registers has these links')
    return registrant
  }
}

const unknownOperation =
  'iotdps-operation-type must be iotdps-register, iotdps-get-operationstatus or iotdps-get-registration'
