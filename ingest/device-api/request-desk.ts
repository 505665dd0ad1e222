/**
 * Answers what one device asks, through the capability that knows (`ingest/session/capabilities.ts`).
 *
 *   request ─▶ handler ─▶ answer, at once or later ─▶ the device, if it listens to answers
 *      └── too many wait: 429    └── failed: 500        └── a refusal that is one of too many in this second: nothing
 */
import type { DeviceAnswer, DeviceRequest } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { limits } from '#schemas/limits.ts'

/** A refusal with the body that clients of the hub read. @param number the hub's, of which the first three digits are the status */
export function refusedAnswer(number: number, message: string): DeviceAnswer {
  return { status: Math.floor(number / 1000), body: Buffer.from(JSON.stringify({ errorCode: number, message })) }
}

const none = new Uint8Array(0)

export class RequestDesk {
  readonly #edge: EdgeContext
  readonly #session: Session
  #underWay = 0
  #refusals = 0
  #refusedInSecond = 0

  constructor(edge: EdgeContext, session: Session) {
    this.#edge = edge
    this.#session = session
  }

  take(request: DeviceRequest): void {
    const handle = this.#edge.capabilities.handlerOf(request.kind)
    if (handle === undefined) this.#answer(request, refusedAnswer(400_003, 'this hub does not offer that'))
    else if (this.#underWay >= limits.deviceRequestsUnderWayMax)
      this.#answer(request, refusedAnswer(429_001, 'too many requests wait for their answer'))
    else {
      const answer = handle(this.#session, request)
      if (answer instanceof Promise) this.#answerLater(request, answer)
      else if (answer !== undefined) this.#answer(request, answer)
    }
  }

  #answerLater(request: DeviceRequest, answer: Promise<DeviceAnswer | undefined>): void {
    this.#underWay++
    answer
      .catch((error: unknown) => {
        this.#edge.logger.error('a request of a device failed', { kind: request.kind, error })
        return refusedAnswer(500_001, 'the request could not be carried out')
      })
      .then((answered) => {
        this.#underWay--
        if (answered !== undefined) this.#answer(request, answered)
      })
  }

  #answer({ kind, requestId }: DeviceRequest, { status, version, retryAfterSeconds, body = none }: DeviceAnswer): void {
    if (status >= 400 && !this.#mayRefuse()) return
    const isRegistration = kind === 'register' || kind === 'registrationStatus'
    void this.#session.send(
      isRegistration
        ? { feed: 'registration', requestId, status, retryAfterSeconds, body }
        : { feed: 'twinAnswers', requestId, status, version, body },
    )
  }

  /** Some SDKs repeat a refused request at once, without end. */
  #mayRefuse(): boolean {
    const second = Math.floor(this.#edge.batcher.nowMs / 1000)
    if (second !== this.#refusedInSecond) this.#refusals = 0
    this.#refusedInSecond = second
    return ++this.#refusals <= limits.requestRefusalsPerSecondMax
  }
}
