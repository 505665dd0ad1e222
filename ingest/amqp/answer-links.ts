import { writeMessage } from '#runtime/amqp/message.ts'
import { type Encoded, int, type Value } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import type { OutgoingLink } from './outgoing-link.ts'
import type { AmqpSession } from './session.ts'

/** What became of a request, in the words that clients of tokens and of management know. */
export interface RequestAnswer {
  /** As its sender wrote it. */
  readonly messageId: Encoded | null
  readonly status: number
  readonly description: string
  readonly value?: Value
}

/** The links of a connection on which requests to one address are answered. */
export class AnswerLinks {
  readonly #links = new Set<OutgoingLink>()
  #answered = 0

  add(link: OutgoingLink): void {
    assert(link.onEnded === undefined, 'whoever waited for the end of a link would not hear of it any more')
    this.#links.add(link)
    link.onEnded = () => this.#links.delete(link)
    link.accept()
  }

  /** @param session in which the request came: clients ask and are answered within one */
  answer(session: AmqpSession, { messageId, status, description, value = null }: RequestAnswer): void {
    const answer = writeMessage({
      properties: { correlationId: messageId },
      applicationProperties: [
        ['status-code', int(status)],
        ['status-description', description],
      ],
      value,
    })
    const tag = Buffer.alloc(4)
    tag.writeUInt32BE(this.#answered++ >>> 0)
    const own = [...this.#links].find((link) => link.session === session) ?? [...this.#links][0]
    void own?.send(answer, tag, true)
  }
}
