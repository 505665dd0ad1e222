/**
 * What services are told, on a link from `/messages/servicebound/feedback` or `…/filenotifications`:
 *
 *   credit ─▶ the next records, locked ─▶ message ─▶ accepted, rejected: done with them     released, or the link ends: for the next receiver
 *               └── none ─▶ again in a second
 *
 * A lock that is over was the receiver's to keep: it is not told, and the records come again.
 */
import { randomBytes } from 'node:crypto'
import type { OutgoingLink, SendOutcome } from '#ingest/amqp/outgoing-link.ts'
import { faultOf } from '#ingest/session/fault.ts'
import { writeMessage } from '#runtime/amqp/message.ts'
import { symbol } from '#runtime/amqp/write-values.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import { limits } from '#schemas/limits.ts'
import { refusalIn, type ServiceAnswer, type ServiceRequest } from './service-requests.ts'
import { WaitingSource } from './waiting-source.ts'

/** Asks the service API for the service at the other end. */
export type AskForRecords = (request: Pick<ServiceRequest, 'method' | 'path'>) => Promise<ServiceAnswer>

export interface RecordReceiverOptions {
  readonly ask: AskForRecords
  /** Of the service API. */
  readonly path: string
  readonly link: OutgoingLink
  readonly clock: Clock
}

export class RecordReceiver extends WaitingSource {
  readonly #options: RecordReceiverOptions
  #underWay = 0

  constructor(options: RecordReceiverOptions) {
    super(options.link)
    this.#options = options
  }

  protected async send(): Promise<void> {
    const { link } = this.#options
    while (link.room > 0 && this.#underWay < limits.amqpRecordsUnderWayMax) if (!(await this.#next())) break
  }

  /** @returns false if there is nothing more for now */
  async #next(): Promise<boolean> {
    const { ask, path, link } = this.#options
    try {
      const answer = await ask({ method: 'GET', path })
      const refused = refusalIn(answer)
      if (refused !== undefined) throw refused
      if (answer.status === 204) return this.#wait(limits.amqpRecordsPollMs)
      this.#send(answer)
      return true
    } catch (error) {
      const fault = faultOf(error)
      if (fault.disposition === 'retry') return this.#wait(limits.amqpRecordsRetryMs)
      link.detach(fault)
      return false
    }
  }

  #wait(ms: number): false {
    const { link, clock } = this.#options
    this.waitFor((goOn) => clock.after(ms, goOn))
    link.ranDry()
    return false
  }

  #send({ headers, body }: ServiceAnswer): void {
    const { link } = this.#options
    const lock = textOf(headers.etag).replaceAll('"', '')
    assert(lock !== '', 'the service API gives records under a lock: without one they are never settled')
    const tag = randomBytes(16)
    const payload = writeMessage({
      properties: {
        messageId: lock,
        userId: Buffer.from(textOf(headers['iothub-userid'])),
        contentType: symbol(textOf(headers['content-type'])),
        contentEncoding: symbol('utf-8'),
      },
      applicationProperties: [],
      body,
    })
    this.#underWay++
    assert(this.#underWay <= limits.amqpRecordsUnderWayMax, 'no more records are locked than a receiver may hold')
    const settle = (outcome: SendOutcome): void => void this.#settle(lock, outcome)
    // It may have ended while it was asked for it.
    if (link.room === 0) settle('gone')
    else {
      link.spend(1)
      link.session.transfer(
        link,
        { payload, tag, settled: false, resolve: settle },
        link.request.senderSettleMode === 1,
      )
    }
  }

  /** Never rejects. */
  async #settle(lock: string, outcome: SendOutcome): Promise<void> {
    const { ask, path } = this.#options
    const isDone = outcome === 'accepted' || outcome === 'rejected' || outcome === 'sent'
    const settled = isDone
      ? ask({ method: 'DELETE', path: `${path}/${lock}` })
      : ask({ method: 'POST', path: `${path}/${lock}/abandon` })
    // Without an answer the lock ends by its time, and they come again.
    await settled.catch(() => {})
    this.#underWay--
    this.wake()
  }
}

function textOf(header: string | readonly string[] | undefined): string {
  return typeof header === 'string' ? header : ''
}
