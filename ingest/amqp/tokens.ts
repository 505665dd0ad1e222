/**
 * Tokens of devices, as the hub's clients put them (claims-based security):
 *
 *   request on a link to $cbs: operation put-token, name, the token as a value ─▶ judged ─▶ answer on the client's link from $cbs
 *
 * A token says itself what it is for: what the request names is looked at only where the token is none of the hub's.
 */
import { parseSasToken } from '#control/auth/sas-token.ts'
import { ReadMessage } from '#runtime/amqp/message.ts'
import type { Encoded } from '#runtime/amqp/write-values.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { addressOf, pathOfScope } from './addresses.ts'
import { AnswerLinks } from './answer-links.ts'
import { statusOf } from './conditions.ts'
import type { IncomingLink, MessageTaker } from './incoming-link.ts'
import type { OutgoingLink } from './outgoing-link.ts'
import type { Seats } from './seats.ts'
import type { ServiceSide } from './service-side.ts'
import { type AmqpSession, acceptedState } from './session.ts'

/** What a request asks for. */
interface TokenRequest {
  readonly messageId: Encoded | null
  readonly token: Buffer
  /** What the token is for. */
  readonly scope: string
}

export interface TokenDeskOptions {
  readonly seats: Seats
  /** `undefined`: only devices are served. */
  readonly services: () => ServiceSide | undefined
  /** A token was refused. */
  readonly onRefused: (error: PenstockError) => void
}

/** All tokens of one connection. */
export class TokenDesk {
  readonly #options: TokenDeskOptions
  readonly #requests = new Set<IncomingLink>()
  readonly #answers = new AnswerLinks()
  #underWay = 0

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
  }

  /** Never rejects. */
  async #judge({ messageId, token, scope }: TokenRequest, session: AmqpSession): Promise<void> {
    const { seats, onRefused } = this.#options
    const id = idOfScope(scope)
    this.#underWay++
    let refused: PenstockError | undefined
    try {
      if (id !== undefined) await seats.prove(id, token)
      else await this.#judgePolicy(scope, token)
    } catch (error) {
      refused = error instanceof PenstockError ? error : new PenstockError('INGEST_NOT_AUTHORIZED', 'not authorized')
    }
    this.#underWay--
    const [status, description] = refused === undefined ? [200, 'OK'] : [statusOf(refused), refused.message]
    this.#answers.answer(session, { messageId, status, description })
    if (refused !== undefined) onRefused(refused)
    for (const link of this.#requests) link.grant()
  }

  /** One for the whole hub may be for devices and services: what it is good for shows once there is a link. */
  async #judgePolicy(scope: string, token: Buffer): Promise<void> {
    const { seats } = this.#options
    const path = pathOfScope(scope)
    const services = this.#options.services()
    const isOfDevices = path.length === 0 || path[0]?.toLowerCase() === 'devices'
    if (services !== undefined && !isOfDevices) {
      await services.prove(path, token)
      return
    }
    seats.holdPolicyToken(token)
    // Nobody has judged it, so it is one at most: below `devices` any text is a path of its own.
    if (path.length === 0) services?.hold(path, token)
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
  return { messageId: message.rawField('messageId'), token: Buffer.from(body), scope }
}

/** `{host}/devices/{device}[/modules/{module}]`, and what lies below, as it is or encoded. */
function idOfScope(scope: string): IdentityId | undefined {
  const path = pathOfScope(scope)
  const owner = path.slice(0, path[2]?.toLowerCase() === 'modules' ? 4 : 2).join('/')
  const address = addressOf(`${owner}/messages/events`)
  return address?.kind === 'events' ? address.id : undefined
}
