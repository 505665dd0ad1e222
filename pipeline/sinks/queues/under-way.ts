import { type EndpointError, unavailable } from '#pipeline/endpoints/endpoint-error.ts'
import { Permits } from '#runtime/permits.ts'
import type { MessageOutcome } from './send-window.ts'

/** Messages of one connection that wait for their answers; a connection that is lost answers them all, and all that come later. */
export class UnderWay {
  readonly #permits: Permits
  readonly #waiting = new Set<(outcome: MessageOutcome) => void>()
  #loss: MessageOutcome | undefined

  /** @param countMax how many may be sent before the first is answered */
  constructor(countMax: number) {
    this.#permits = new Permits(countMax)
  }

  get isLost(): boolean {
    return this.#loss !== undefined
  }

  /** Sends a message, in its turn, by `begin`, which answers it. */
  send(begin: (answer: (outcome: MessageOutcome) => void) => void): Promise<MessageOutcome> {
    return this.#permits.with(async () => this.#loss ?? (await this.#answerOf(begin)))
  }

  /** Only the first reason counts. */
  lose(error: EndpointError): void {
    this.#loss ??= lossOf(error)
    for (const answer of this.#waiting) answer(this.#loss)
    this.#waiting.clear()
  }

  #answerOf(begin: (answer: (outcome: MessageOutcome) => void) => void): Promise<MessageOutcome> {
    return new Promise((resolve) => {
      const answer = (outcome: MessageOutcome): void => {
        this.#waiting.delete(answer)
        resolve(outcome)
      }
      this.#waiting.add(answer)
      begin(answer)
    })
  }
}

/** A connection that ended for what one message held does not say which it was. */
function lossOf(error: EndpointError): MessageOutcome {
  if (error.code === 'ENDPOINT_HELD') return { kind: 'held', error }
  if (error.code === 'ENDPOINT_UNAVAILABLE') return { kind: 'retry', error }
  return { kind: 'retry', error: unavailable(error.message, error.failure) }
}
