/**
 * Tokens of devices, as the hub's clients put them (claims-based security):
 *
 *   request on a link to $cbs: operation put-token, name, the token as a value ─▶ judged ─▶ answer on the client's link from $cbs
 *
 * A token says itself what it is for: what the request names is looked at only where the token is none of the hub's.
 */
import { parseSasToken } from '#control/auth/sas-token.ts'
import { ReadMessage, writeMessage } from '#runtime/amqp/message.ts'
import { type Encoded, int } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { addressOf } from './addresses.ts'
import { statusOf } from './conditions.ts'
import type { IncomingLink, MessageTaker } from './incoming-link.ts'
import type { OutgoingLink } from './outgoing-link.ts'
import type { Seats } from './seats.ts'
import { type AmqpSession, acceptedState } from './session.ts'

/** What a request asks for. */
interface TokenRequest {
  readonly messageId: Encoded | null
  readonly token: Buffer
  /** `undefined`: the token speaks for more than one device. */
  readonly id: IdentityId | undefined
}

export interface TokenDeskOptions {
  readonly seats: Seats
  /** A token was refused. */
  readonly onRefused: (error: PenstockError) => void
}

/** All tokens of one connection. */
export class TokenDesk {
  readonly #options: TokenDeskOptions
  readonly #requests = new Set<IncomingLink>()
  readonly #answers = new Set<OutgoingLink>()
  #underWay = 0
  #answered = 0

  constructor(options: TokenDeskOptions) {
    this.#options = options
  }

  addRequests(link: IncomingLink, session: AmqpSession): void {
    this.#requests.add(link)
    link.onEnded = () => this.#requests.delete(link)
    const taker: MessageTaker = {
      creditWanted: () => limits.amqpTokensUnderWayMax - this.#underWay,
      take: (deliveryId, settled, _format, bytes, start, end) => {
        const request = tokenRequestFrom(new ReadMessage(bytes, start, end))
        if (!settled) session.settle(deliveryId, deliveryId, acceptedState)
        void this.#judge(request, session)
      },
    }
    link.accept(taker)
  }

  addAnswers(link: OutgoingLink): void {
    this.#answers.add(link)
    link.onEnded = () => this.#answers.delete(link)
    link.accept()
  }

  /** Never rejects. */
  async #judge({ messageId, token, id }: TokenRequest, session: AmqpSession): Promise<void> {
    const { seats, onRefused } = this.#options
    this.#underWay++
    let refused: PenstockError | undefined
    try {
      if (id === undefined) seats.holdPolicyToken(token)
      else await seats.prove(id, token)
    } catch (error) {
      refused = error instanceof PenstockError ? error : new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    }
    this.#underWay--
    this.#answer(messageId, refused, session)
    if (refused !== undefined) onRefused(refused)
    for (const link of this.#requests) link.grant()
  }

  #answer(messageId: Encoded | null, refused: PenstockError | undefined, session: AmqpSession): void {
    const answer = writeMessage({
      properties: { correlationId: messageId },
      applicationProperties: [
        ['status-code', int(refused === undefined ? 200 : statusOf(refused))],
        ['status-description', refused === undefined ? 'OK' : refused.message],
      ],
      value: null,
    })
    const tag = Buffer.alloc(4)
    tag.writeUInt32BE(this.#answered++ >>> 0)
    // Clients ask and are answered within one session.
    const own = [...this.#answers].find((link) => link.session === session) ?? [...this.#answers][0]
    void own?.send(answer, tag, true)
  }
}

/** @throws INGEST_BODY_MALFORMED */
function tokenRequestFrom(message: ReadMessage): TokenRequest {
  const { applicationProperties: properties, body } = message
  if (properties.get('operation') !== 'put-token')
    throw new PenstockError('INGEST_BODY_MALFORMED', 'tokens are put, and nothing else is done with them')
  if (body.length === 0 || body.length > limits.credentialBytesMax)
    throw new PenstockError('INGEST_BODY_MALFORMED', 'a token that is empty or too long')
  const named = properties.get('name')
  const scope = parseSasToken(body.toString('latin1'))?.scopeText ?? (typeof named === 'string' ? named : '')
  return { messageId: message.rawField('messageId'), token: Buffer.from(body), id: idOfScope(scope) }
}

/** `{host}/devices/{device}[/modules/{module}]`, and what lies below, as it is or encoded. */
function idOfScope(scope: string): IdentityId | undefined {
  let plain = scope
  try {
    plain = decodeURIComponent(scope)
  } catch {}
  const [, ...path] = plain.replace(/^[a-z]+:\/\//i, '').split('/')
  const owner = path.slice(0, path[2]?.toLowerCase() === 'modules' ? 4 : 2).join('/')
  const address = addressOf(`${owner}/messages/events`)
  return address?.kind === 'events' ? address.id : undefined
}
