/**
 * Questions, answers and pushes over a channel of JSON values, in both directions at once.
 *
 *   question   {"n":1,"q":"lookup","v":["d1"]}
 *   answer     {"n":1,"v":[…]}    or    {"n":1,"fault":"why","code":"STORE_UNAVAILABLE"}          in any order
 *   push       {"p":"presence","v":[…]}
 *
 * What was sent first arrives first, so a push that was sent before an answer is heard before it. Processes of two versions may speak
 * for a while: a question that is not known is answered by LINK_QUESTION_UNKNOWN, a push that is not known is left out and told of.
 */
import type { Clock } from '#runtime/clock.ts'
import type { JsonCheck } from '#runtime/json-check.ts'
import { type ErrorCode, errorTable, isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { Channel } from './channel.ts'
import type { Answered, Asked, Contract, Handlers, Pushed, PushName, QuestionName } from './contract.ts'
import { agreedVersion, firstVersion, type LinkVersion, linkVersionCheck, versionQuestion } from './link-version.ts'

export interface LineRpcOptions<Own extends Contract, Peer extends Contract> {
  readonly channel: Channel
  /** What this side answers and hears. */
  readonly own: Own
  readonly handlers: Handlers<Own>
  /** What the other side does. */
  readonly peer: Peer
  readonly clock: Clock
  /** Left out: the first. */
  readonly version?: LinkVersion
  /** A question that is not answered by then is given up, unless it has a time of its own. */
  readonly answerMsMax: number
  /** Once: nothing more will be heard. Whoever owns the channel closes it. */
  readonly onEnd: (reason: string) => void
  /** A push was left out: not known, not what the contract says, or its handler failed. */
  readonly onPushFault: (name: string, reason: string) => void
  /** A question could not be answered, by no fault of who asked. */
  readonly onQuestionFault?: (name: string, error: unknown) => void
}

interface Waiting {
  readonly name: string
  readonly answered: JsonCheck<unknown> | undefined
  readonly resolve: (value: unknown) => void
  readonly reject: (error: PenstockError) => void
  readonly cancelTimeout: () => void
}

type Message = Readonly<Record<string, unknown>>

export class LineRpc<Own extends Contract, Peer extends Contract> {
  readonly #options: LineRpcOptions<Own, Peer>
  readonly #waiting = new Map<number, Waiting>()
  #number = 0
  #isListening = false
  #end: string | undefined

  constructor(options: LineRpcOptions<Own, Peer>) {
    this.#options = options
  }

  /** Begins to hear; does nothing the second time. */
  listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#options.channel.listen({
      onValue: (value) => this.#hear(value),
      onEnd: (reason) => this.#lost(reason),
    })
  }

  /**
   * @throws PenstockError LINK_LOST, LINK_ANSWER_LATE (retry), LINK_QUESTION_UNKNOWN, LINK_VALUE_INVALID (reject), LINK_QUESTION_FAILED
   * (retry), or what the other side's handler threw
   */
  ask<Name extends QuestionName<Peer>>(
    name: Name,
    asked: Asked<Peer, Name>,
    answerMsMax = this.#options.answerMsMax,
  ): Promise<Answered<Peer, Name>> {
    const { peer } = this.#options
    return this.#ask(name, asked, peer.questions[name]?.answered, answerMsMax) as Promise<Answered<Peer, Name>>
  }

  /**
   * Finds out which version of the link both sides speak; to be asked before anything else.
   * @throws LINK_VERSION_REFUSED, LINK_LOST, LINK_ANSWER_LATE
   */
  async agree(): Promise<number> {
    const { version: own = firstVersion, answerMsMax } = this.#options
    const other = await this.#ask(versionQuestion, own, linkVersionCheck, answerMsMax).catch((error) => {
      if (isPenstockError(error, 'LINK_QUESTION_UNKNOWN')) return firstVersion
      throw error
    })
    return agreedVersion(own, linkVersionCheck(other))
  }

  #ask(name: string, asked: unknown, answered: JsonCheck<unknown> | undefined, answerMsMax: number): Promise<unknown> {
    this.listen()
    const { clock, channel } = this.#options
    const n = ++this.#number
    return new Promise<unknown>((resolve, reject) => {
      if (this.#end !== undefined) return reject(new PenstockError('LINK_LOST', this.#end))
      const cancelTimeout = clock.after(answerMsMax, () =>
        this.#settle(n)?.reject(new PenstockError('LINK_ANSWER_LATE', `no answer to ${name} for ${answerMsMax} ms`)),
      )
      this.#waiting.set(n, { name, answered, resolve, reject, cancelTimeout })
      channel.send({ n, q: name, v: asked })
    })
  }

  push<Name extends PushName<Peer>>(name: Name, pushed: Pushed<Peer, Name>): void {
    this.#options.channel.send({ p: name, v: pushed })
  }

  /** Hears no more; what was sent is still written. Questions that wait are given up. */
  close(): void {
    this.#forget('the link was closed')
    this.#options.channel.close()
  }

  #hear(value: unknown): void {
    const message: Message = typeof value === 'object' && value !== null ? (value as Message) : {}
    const { n, q, p } = message
    if (typeof p === 'string') this.#hearPush(p, message.v)
    else if (typeof n !== 'number') this.#broken('what was said is neither question, answer nor push')
    else if (typeof q === 'string') void this.#answer(n, q, message.v)
    else this.#hearAnswer(n, message)
  }

  #hearPush(name: string, value: unknown): void {
    const { own, handlers, onPushFault } = this.#options
    const check = Object.hasOwn(own.pushes, name) ? own.pushes[name] : undefined
    try {
      if (!check) throw new TypeError('is not known')
      // The check and the handler of one name belong together, which the table's type cannot say of a name that arrives.
      const handle = handlers.pushes[name as PushName<Own>] as (pushed: unknown) => void
      handle(check(value))
    } catch (error) {
      onPushFault(name, reasonOf(error))
    }
  }

  async #answer(n: number, name: string, value: unknown): Promise<void> {
    const { own, handlers, channel, onQuestionFault, version = firstVersion } = this.#options
    // Who asks ends the link, if there is none that both speak.
    if (name === versionQuestion) return channel.send({ n, v: version })
    const question = Object.hasOwn(own.questions, name) ? own.questions[name] : undefined
    if (!question) return this.#refuse(n, 'LINK_QUESTION_UNKNOWN', `the question ${name} is not known here`)
    let asked: unknown
    try {
      asked = question.asked(value)
    } catch (error) {
      return this.#refuse(n, 'LINK_VALUE_INVALID', `${name}: what is asked ${reasonOf(error)}`)
    }
    try {
      const handle = handlers.questions[name as QuestionName<Own>] as (asked: unknown) => unknown
      const answer = handle(asked)
      // An answer that is there leaves at once: a clock's reading must not wait for its turn.
      channel.send({ n, v: answer instanceof Promise ? await answer : answer })
    } catch (error) {
      onQuestionFault?.(name, error)
      this.#refuse(n, isPenstockError(error) ? error.code : 'LINK_QUESTION_FAILED', reasonOf(error))
    }
  }

  #refuse(n: number, code: ErrorCode, fault: string): void {
    this.#options.channel.send({ n, fault, code })
  }

  #hearAnswer(n: number, { v, fault, code }: Message): void {
    const waiting = this.#settle(n)
    // It was given up.
    if (!waiting) return
    if (typeof fault === 'string') {
      const known = typeof code === 'string' && Object.hasOwn(errorTable, code) ? (code as ErrorCode) : undefined
      waiting.reject(new PenstockError(known ?? 'LINK_QUESTION_FAILED', fault))
      return
    }
    try {
      waiting.resolve(waiting.answered?.(v))
    } catch (error) {
      waiting.reject(new PenstockError('LINK_VALUE_INVALID', `${waiting.name}: the answer ${reasonOf(error)}`))
    }
  }

  #settle(n: number): Waiting | undefined {
    const waiting = this.#waiting.get(n)
    this.#waiting.delete(n)
    waiting?.cancelTimeout()
    return waiting
  }

  /** The other side does not speak this language: nothing of it is believed any more. */
  #broken(reason: string): void {
    if (this.#end === undefined) this.#lost(reason)
  }

  #lost(reason: string): void {
    if (this.#end !== undefined) return
    this.#forget(reason)
    this.#options.onEnd(reason)
  }

  #forget(reason: string): void {
    this.#end ??= reason
    for (const n of [...this.#waiting.keys()]) this.#settle(n)?.reject(new PenstockError('LINK_LOST', reason))
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
