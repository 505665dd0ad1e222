/**
 * What a device asks for, or answers, in messages of AMQP (the hub's own spelling):
 *
 *   …/twin                  annotations operation, resource and version; correlation id, given back as it was written
 *     GET                                                   reads the twin
 *     PATCH    /properties/reported                         reports
 *     PUT      /notifications/twin/properties/desired       listens to desired properties from now on
 *     DELETE   the same                                     no longer
 *   …/methods/devicebound   correlation id of the call, application property IoThub-status, body
 */
import { RequestDesk, refusedAnswer } from '#ingest/device-api/request-desk.ts'
import type { DeviceRequest, DeviceRequestKind } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import { ReadMessage } from '#runtime/amqp/message.ts'
import type { ReadValue } from '#runtime/amqp/read-values.ts'
import type { Value } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { MessageTaker } from './incoming-link.ts'
import type { Seat } from './seats.ts'
import { type AmqpSession, acceptedState } from './session.ts'

/** Of one device. */
export class DeviceRequests {
  readonly #edge: EdgeContext
  readonly #seat: Seat
  readonly #touched: (seat: Seat) => void
  readonly #desk: RequestDesk
  /** Ids of requests as their sender wrote them, by their text; the oldest are forgotten. */
  readonly #correlations = new Map<string, Value>()

  constructor(edge: EdgeContext, seat: Seat, touched: (seat: Seat) => void) {
    this.#edge = edge
    this.#seat = seat
    this.#touched = touched
    this.#desk = new RequestDesk(edge, seat.session)
  }

  /** The id of a request, to be given back; from then on it is forgotten. */
  correlationOf(requestId: string): Value {
    const written = this.#correlations.get(requestId)
    this.#correlations.delete(requestId)
    return written ?? requestId
  }

  takerOf(kind: 'twin' | 'methods', session: AmqpSession): MessageTaker {
    return {
      creditWanted: () => (this.#seat.isHeld ? 0 : limits.deviceRequestsUnderWayMax),
      take: (deliveryId, settled, _format, bytes, start, end) => {
        this.#count(end - start)
        const message = new ReadMessage(bytes, start, end)
        const requestId = requestIdOf(message.field('correlationId'))
        if (kind === 'methods') this.#takeAnswer(message, requestId)
        else this.#takeTwinRequest(message, requestId)
        if (!settled) session.settle(deliveryId, deliveryId, acceptedState)
      },
    }
  }

  #count(bytes: number): void {
    if (this.#seat.messages === 0) this.#touched(this.#seat)
    this.#seat.messages++
    this.#seat.bytes += bytes
    this.#edge.unstoredMessages++
  }

  #takeAnswer(message: ReadMessage, requestId: string): void {
    const status = message.applicationProperties.get('IoThub-status')
    if (typeof status !== 'number' || !Number.isInteger(status))
      throw new PenstockError('INGEST_BODY_MALFORMED', 'an answer to a method without its status')
    this.#desk.take(requestOf('methodAnswer', requestId, message, status))
  }

  #takeTwinRequest(message: ReadMessage, requestId: string): void {
    this.#remember(requestId, message)
    const { session } = this.#seat
    switch (String(message.annotations.get('operation'))) {
      case 'GET':
        this.#desk.take(requestOf('twinRead', requestId, message))
        return
      case 'PATCH':
        this.#desk.take(requestOf('twinReport', requestId, message))
        return
      case 'PUT':
        session.subscribe('desired', 0)
        this.#answer(requestId, 200)
        return
      case 'DELETE':
        session.unsubscribe('desired')
        this.#answer(requestId, 200)
        return
      default:
        this.#answer(requestId, 400)
    }
  }

  #answer(requestId: string, status: number): void {
    const body = status === 200 ? undefined : refusedAnswer(400_004, 'a twin has no such operation').body
    void this.#seat.session.send({
      feed: 'twinAnswers',
      requestId,
      status,
      version: undefined,
      body: body ?? new Uint8Array(0),
    })
  }

  #remember(requestId: string, message: ReadMessage): void {
    this.#correlations.set(requestId, message.rawField('correlationId'))
    const [oldest] = this.#correlations.keys()
    if (this.#correlations.size > limits.deviceRequestsUnderWayMax * 2 && oldest !== undefined)
      this.#correlations.delete(oldest)
  }
}

function requestOf(kind: DeviceRequestKind, requestId: string, message: ReadMessage, status = 0): DeviceRequest {
  const version = message.annotations.get('version')
  return {
    kind,
    requestId,
    status,
    version: typeof version === 'number' && version >= 0 ? version : undefined,
    body: Buffer.from(message.body),
  }
}

/** @throws INGEST_BODY_MALFORMED */
function requestIdOf(correlationId: ReadValue): string {
  if (typeof correlationId === 'string' && correlationId.length <= requestIdLengthMax) return correlationId
  if (typeof correlationId === 'number' || typeof correlationId === 'bigint') return String(correlationId)
  if (Buffer.isBuffer(correlationId) && correlationId.length <= requestIdLengthMax) return correlationId.toString('hex')
  throw new PenstockError('INGEST_BODY_MALFORMED', 'a request without a correlation id, or with one that is too long')
}

const requestIdLengthMax = 256
