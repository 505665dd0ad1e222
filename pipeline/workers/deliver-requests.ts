/**
 * Brings one range to an endpoint that can't be asked what it has, at least once and in order: request by request, each until it is
 * delivered or refused for good.
 *
 *   messages    │ 0 … 999 │ 1000 … 1999 │ …        as many as a request may hold
 *   request       #0+1000 ✗ refused: halves
 *                 #0+500 ✓  #500+500 ✗  …  #731+1 ✗     refused alone, by an endpoint that takes others: a dead letter
 *
 * The intent is written down before the first request, and again before each repetition: the log refuses it to a worker that lost the
 * partition. How far the range is, is not: whoever finds the intent begins at its start again, so an endpoint may get any of it twice, under the
 * same ids. The first time that each message arrives, they are in order, whoever sends: nobody sends one before all earlier ones of the
 * range are delivered or letters.
 */
import type { Endpoint, EndpointRequest, RequestOutcome } from '#pipeline/endpoints/endpoint.ts'
import { type EndpointError, held } from '#pipeline/endpoints/endpoint-error.ts'
import type { SelectedMessage, SelectedRange } from '#pipeline/endpoints/selected-range.ts'
import type { BatchStamp } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import { limits } from '#schemas/limits.ts'
import { admitted, type DeliveryOptions, type DeliveryOutcome } from './delivery.ts'
import type { Intent } from './intent.ts'
import { letterOfMessages, messagesByBatch } from './letter-of-messages.ts'
import { type LetterOptions, putLetter } from './put-letter.ts'

export interface RequestDeliveryOptions extends Omit<LetterOptions, 'delivery'> {
  readonly delivery: DeliveryOptions
  readonly endpoint: Endpoint
  /** Name that its letters carry. */
  readonly letterEndpoint: string
  /** Of the batch at an offset of the range. */
  readonly stampOf: (offset: number) => BatchStamp
  readonly onDelivered: (messageCount: number) => void
}

/**
 * @param commitIntent writes the intent down under the assignment's generation
 * @returns `ended` if the assignment ended before everything was delivered or a letter
 * @throws what the log answers to a commit; BATCH_CORRUPT if a batch can't be read: what comes before it may be delivered
 */
export async function deliverRequests(
  options: RequestDeliveryOptions,
  intent: Intent,
  selected: SelectedRange,
  commitIntent: (intent: Intent) => Promise<void>,
): Promise<DeliveryOutcome> {
  const delivery = new RequestDelivery(options, intent, commitIntent)
  await commitIntent(intent)
  let first = 0
  let before: SelectedMessage | undefined
  for await (const messages of requestsOf(options.endpoint, selected)) {
    const [head] = messages
    assert(head && isBehind(head, before), 'requests have the messages of a range in their order [G-3]')
    before = messages.at(-1)
    if (!(await delivery.settle({ messages, first }))) return 'ended'
    first += messages.length
  }
  assert(
    first === selected.range.messageCount,
    `a selection of ${selected.range.messageCount} messages has as many, not ${first}`,
  )
  return 'stored'
}

function isBehind({ offset, index }: SelectedMessage, before: SelectedMessage | undefined): boolean {
  return before === undefined || offset > before.offset || (offset === before.offset && index > before.index)
}

/** Cuts what was selected into as much as one request may hold. */
async function* requestsOf(
  { requestMessagesMax, requestBytesMax }: Endpoint,
  selected: SelectedRange,
): AsyncGenerator<readonly SelectedMessage[]> {
  let messages: SelectedMessage[] = []
  let byteCount = 0
  for await (const block of selected.messages())
    for (const message of block) {
      const isFull = messages.length >= requestMessagesMax || byteCount + message.byteCount > requestBytesMax
      if (messages.length > 0 && isFull) {
        yield messages
        messages = []
        byteCount = 0
      }
      messages.push(message)
      byteCount += message.byteCount
    }
  if (messages.length > 0) yield messages
}

/** Consecutive messages of the range; `first` is the place of the first among all that were selected. */
interface Run {
  readonly messages: readonly SelectedMessage[]
  readonly first: number
}

type Answer = Exclude<RequestOutcome, { readonly kind: 'retry' | 'held' }> | { readonly kind: 'ended' }

class RequestDelivery {
  readonly #options: RequestDeliveryOptions
  readonly #intent: Intent
  readonly #commitIntent: (intent: Intent) => Promise<void>
  /** The batch of which a message was given up last, and how many of it were. */
  #givenUp = { offset: -1, count: 0 }

  constructor(options: RequestDeliveryOptions, intent: Intent, commitIntent: (intent: Intent) => Promise<void>) {
    this.#options = options
    this.#intent = intent
    this.#commitIntent = commitIntent
  }

  /** Delivers the run or makes letters of it; false if the assignment ended before. */
  async settle(run: Run): Promise<boolean> {
    const hopeless = this.#hopelessCount(run)
    if (hopeless > 0) return await this.#giveUpAndGoOn(run, hopeless)
    const { rest, answer } = await this.#sendUntilAnswered(run)
    switch (answer.kind) {
      case 'ended':
        return false
      case 'delivered':
        return true
      case 'refused':
        if (answer.refused) return await this.#giveUp(rest, answer.refused)
        if (rest.messages.length === 1) return await this.#giveUpOne(rest, answer.error)
        return await this.#settleHalves(rest)
    }
  }

  async #settleHalves({ messages, first }: Run): Promise<boolean> {
    const middle = Math.ceil(messages.length / 2)
    return (
      (await this.settle({ messages: messages.slice(0, middle), first })) &&
      (await this.settle({ messages: messages.slice(middle), first: first + middle }))
    )
  }

  /** Repeats the request until the endpoint takes or refuses it; what it took of it in between is left out of the next attempt. */
  async #sendUntilAnswered(run: Run): Promise<{ readonly rest: Run; readonly answer: Answer }> {
    const { delivery, onDelivered } = this.#options
    let rest = run
    for (let attempt = 0; ; attempt++) {
      if (delivery.ended.aborted) return { rest, answer: { kind: 'ended' } }
      if (attempt > 0) await this.#commitIntent(this.#intent)
      const outcome = await admitted(delivery, () => this.#attempt(rest))
      if (outcome === undefined) return { rest, answer: { kind: 'ended' } }
      switch (outcome.kind) {
        case 'delivered':
          onDelivered(rest.messages.length)
          return { rest, answer: outcome }
        case 'refused':
          delivery.onRefusal(outcome.error)
          if (outcome.refused) onDelivered(rest.messages.length - outcome.refused.size)
          return { rest, answer: outcome }
        case 'retry':
        case 'held': {
          if (delivery.skipSteps.has('retry')) return { rest, answer: { kind: 'delivered' } }
          this.#repeats(outcome.error, attempt)
          const count = outcome.kind === 'retry' ? (outcome.deliveredCount ?? 0) : 0
          onDelivered(count)
          if (count === rest.messages.length) return { rest, answer: { kind: 'delivered' } }
          rest = { messages: rest.messages.slice(count), first: rest.first + count }
        }
      }
    }
  }

  async #attempt(run: Run): Promise<RequestOutcome> {
    const { endpoint, delivery } = this.#options
    const outcome = await endpoint.deliver(this.#requestOf(run), delivery.ended)
    assertOutcome(outcome, run.messages.length)
    // A refusal that would hit any message says nothing about these.
    const isVerdict = outcome.kind === 'refused' && (outcome.refused !== undefined || run.messages.length === 1)
    const answer: RequestOutcome =
      isVerdict && !(await endpoint.accepts())
        ? { kind: 'held', error: held(`it takes nothing: ${outcome.error.message}`, outcome.error.failure) }
        : outcome
    if (answer.kind === 'delivered') delivery.circuit?.taken()
    else if (answer.kind === 'refused') delivery.circuit?.refused(answer.error)
    else delivery.circuit?.failed(answer.error)
    return answer
  }

  #requestOf({ messages, first }: Run): EndpointRequest {
    const { endpoint, delivery } = this.#options
    const { range, token, revision } = this.#intent
    const { topic, partition } = range
    const routes = revision === undefined || delivery.skipSteps.has('revision') ? '' : `@${revision}`
    const part = delivery.skipSteps.has('request-ids') ? `${delivery.random()}` : `${first}+${messages.length}`
    return { id: `${endpoint.name}/${token}${routes}#${part}`, topic, partition, messages }
  }

  #repeats(error: EndpointError, attempt: number): void {
    const { delivery, endpoint } = this.#options
    const { partition, first, last } = this.#intent.range
    const fields = { endpoint: endpoint.name, partition, first, last, attempt, error }
    delivery.logger.warn('request not confirmed; it will be repeated', fields)
    delivery.onFailure()
    delivery.onWait(error)
  }

  /** How many messages at the head are of a batch of which so many were refused that the others are not tried. */
  #hopelessCount({ messages }: Run): number {
    if (this.#givenUp.count < limits.deadLettersPerBatchMax) return 0
    const other = messages.findIndex(({ offset }) => offset !== this.#givenUp.offset)
    return other < 0 ? messages.length : other
  }

  async #giveUpAndGoOn({ messages, first }: Run, count: number): Promise<boolean> {
    const text = `the endpoint refused ${limits.deadLettersPerBatchMax} messages of this batch; these were not tried`
    if (!(await this.#putLetters(messages.slice(0, count), () => text))) return false
    return count === messages.length || (await this.settle({ messages: messages.slice(count), first: first + count }))
  }

  async #giveUpOne({ messages }: Run, error: EndpointError): Promise<boolean> {
    const [message] = messages
    assert(message, 'a run has a message')
    const { offset } = message
    this.#givenUp = { offset, count: (this.#givenUp.offset === offset ? this.#givenUp.count : 0) + 1 }
    return await this.#putLetters(messages, () => error.message)
  }

  /** The adapter knows which were refused; no search was needed, so there is no bound to their number. */
  async #giveUp({ messages }: Run, refused: ReadonlyMap<number, string>): Promise<boolean> {
    const given = [...refused.keys()].sort((one, other) => one - other)
    const reasons = new Map(given.map((place) => [messages[place], refused.get(place) ?? '']))
    const letters = messages.filter((message) => reasons.has(message))
    assert(letters.length === refused.size, `${refused.size} messages were refused, and not ${letters.length} [G-5]`)
    return await this.#putLetters(letters, (message) => reasons.get(message) ?? '')
  }

  /** One letter for those of one batch, as far as they fit a block. */
  async #putLetters(
    messages: readonly SelectedMessage[],
    reasonOf: (message: SelectedMessage) => string,
  ): Promise<boolean> {
    if (this.#options.delivery.skipSteps.has('letters')) return true
    const { topic, partition } = this.#intent.range
    const { stampOf, letterEndpoint: endpoint } = this.#options
    for (const group of messagesByBatch(messages, limits.blockBytesMax)) {
      const [head] = group
      const reason = reasonOf(head).replace(/\s+/g, ' ')
      const text = `the endpoint refused message ${head.index} of this batch: ${reason}`
      const why = { reason: 'ENDPOINT_REFUSED', text } as const
      const letter = letterOfMessages({ topic, partition, endpoint }, stampOf(head.offset), group, why)
      if (!(await putLetter(this.#options, letter))) return false
    }
    return true
  }
}

/** An adapter that miscounts would lose messages or make letters of good ones. */
function assertOutcome(outcome: RequestOutcome, messageCount: number): void {
  if (outcome.kind === 'retry') {
    const { deliveredCount = 0 } = outcome
    const isCount = Number.isInteger(deliveredCount) && deliveredCount >= 0 && deliveredCount <= messageCount
    assert(isCount, `an endpoint has taken from none to all ${messageCount} messages, not ${deliveredCount}`)
  }
  if (outcome.kind !== 'refused' || !outcome.refused) return
  assert(outcome.refused.size > 0, 'an endpoint that refuses single messages names at least one')
  for (const place of outcome.refused.keys())
    assert(place >= 0 && place < messageCount, `a refused message is one of ${messageCount}, not ${place}`)
}
