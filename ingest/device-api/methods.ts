/**
 * Direct methods at the edge that holds the device.
 *
 *   call ─▶ connected? ─▶ listens? ─▶ written ─▶ answered │ badAnswer
 *            notHere       waits       │   └── connection ends: lost │ time is over: noAnswer
 *                          └── connection ends: gone │ time is over: notSubscribed
 *
 * A device that moves to another edge answers what it was called here before its connection here ends; further calls go to where it is now.
 *
 * At most once: from "written" on nothing is tried again. A call is known by a random UUID, which clients of AMQP ask for. It is good for one answer, and only from
 * the session that it was sent to.
 */
import { randomUUID } from 'node:crypto'
import type { Capability } from '#ingest/session/capabilities.ts'
import type { Feed, Outcome } from '#ingest/session/delivery.ts'
import type { DeviceRequest } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { assert } from '#runtime/assert.ts'
import { isWithinDepth } from '#runtime/json-depth.ts'
import type { CallFailure, CallOutcome, MethodCall } from '#schemas/downlink.ts'
import { PenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'

interface Call {
  readonly session: Session
  readonly settle: (outcome: CallOutcome) => void
}

/** What is known of a session that was called, or waited for. */
interface Called {
  readonly callIds: Set<string>
  /** Each ends one wait for its subscription: with true once it listens. */
  readonly waiting: Set<(listens: boolean) => void>
  /** Set once a newer connection is open elsewhere: ends the one here. */
  leave: (() => void) | undefined
  strayAnswers: number
  strayInSecond: number
}

export class Methods implements Capability {
  readonly requests = {
    methodAnswer: (session: Session, answer: DeviceRequest): undefined => this.#answered(session, answer),
  }
  readonly #edge: EdgeContext
  readonly #calls = new Map<string, Call>()
  /** Gone with its session, so that sessions that are never called cost nothing. */
  readonly #called = new Map<Session, Called>()
  #waiting = 0

  constructor(edge: EdgeContext) {
    this.#edge = edge
  }

  /** @param waitMs how long the device may take to listen @param left ends that wait @returns never rejects */
  async call(id: IdentityId, call: MethodCall, waitMs: number, left?: AbortSignal): Promise<CallOutcome> {
    const session = this.#edge.sessions.get(identityText(id))
    const outcome =
      session === undefined || this.isLeaving(session)
        ? failed('notHere')
        : await this.#callSession(session, call, waitMs, left)
    this.#edge.metrics.series('penstock_edge_methods_total', { outcome: outcome.kind }).add(1)
    return outcome
  }

  isLeaving(session: Session): boolean {
    return this.#called.get(session)?.leave !== undefined
  }

  /** A newer connection is open at another edge. @param end ends this one: at once, or as soon as the device has answered */
  leave(session: Session, end: () => void): void {
    const called = this.#called.get(session)
    if (called === undefined || called.callIds.size === 0) end()
    else if (called.leave === undefined) {
      const cancel = this.#edge.clock.after(limits.methodsLeavingMsMax, end)
      called.leave = () => {
        cancel()
        end()
      }
    }
  }

  onSubscribed(session: Session, feed: Feed): void {
    if (feed !== 'methods') return
    for (const done of this.#called.get(session)?.waiting ?? []) done(true)
  }

  onEnded(session: Session): void {
    const called = this.#called.get(session)
    if (called === undefined) return
    this.#called.delete(session)
    for (const done of called.waiting) done(false)
    for (const callId of called.callIds) this.#calls.get(callId)?.settle(failed('lost'))
  }

  async #callSession(
    session: Session,
    call: MethodCall,
    waitMs: number,
    left: AbortSignal | undefined,
  ): Promise<CallOutcome> {
    if (!session.listensTo('methods')) {
      if (waitMs <= 0 || left?.aborted) return failed('notSubscribed')
      if (this.#waiting >= limits.methodsWaitingMax) return failed('busy')
      const listens = await this.#untilListening(session, waitMs, left)
      if (listens !== true) return failed(listens === false ? 'gone' : 'notSubscribed')
    }
    return this.#send(session, call)
  }

  /** @returns false: its connection ended; `undefined`: time is over, or nobody waits any more */
  #untilListening(session: Session, waitMs: number, left: AbortSignal | undefined): Promise<boolean | undefined> {
    const { waiting } = this.#calledOf(session)
    this.#waiting++
    return new Promise((resolve) => {
      const done = (listens: boolean | undefined): void => {
        cancel()
        left?.removeEventListener('abort', giveUp)
        const wasWaiting = waiting.delete(done)
        assert(wasWaiting, 'a wait for a device to listen ends once')
        this.#waiting--
        resolve(listens)
      }
      const giveUp = (): void => done(undefined)
      const cancel = this.#edge.clock.after(waitMs, giveUp)
      left?.addEventListener('abort', giveUp)
      waiting.add(done)
    })
  }

  async #send(session: Session, { name, payload, responseMs }: MethodCall): Promise<CallOutcome> {
    const called = this.#calledOf(session)
    if (called.callIds.size >= limits.methodsUnderWayPerDeviceMax || this.#calls.size >= limits.methodsUnderWayMax)
      return failed('busy')
    const callId = randomUUID()
    const settled = this.#settled(session, called, callId, responseMs)
    // What was written may be answered before this resolves.
    const outcome = await session.send({ feed: 'methods', name, requestId: callId, body: Buffer.from(payload) })
    const unsent = unsentFailure[outcome]
    if (unsent !== undefined) this.#calls.get(callId)?.settle(failed(unsent))
    // Its end was told before the call came to it.
    if (unsent === 'gone') this.#called.delete(session)
    return settled
  }

  #settled(session: Session, called: Called, callId: string, responseMs: number): Promise<CallOutcome> {
    return new Promise((resolve) => {
      const settle = (outcome: CallOutcome): void => {
        cancel()
        const wasOpen = this.#calls.delete(callId)
        assert(wasOpen, 'a call has one outcome')
        called.callIds.delete(callId)
        resolve(outcome)
        if (called.callIds.size === 0) called.leave?.()
      }
      const cancel = this.#edge.clock.after(responseMs, () => settle(failed('noAnswer')))
      this.#calls.set(callId, { session, settle })
      called.callIds.add(callId)
    })
  }

  #answered(session: Session, { requestId, status, body }: DeviceRequest): undefined {
    const call = this.#calls.get(requestId)
    if (call?.session === session) call.settle(answerOf(status, body))
    else this.#stray(session)
  }

  /** A late answer, or a guess: there is no telling them apart, but only who guesses has many of them. */
  #stray(session: Session): void {
    this.#edge.metrics.series('penstock_edge_methods_stray_answers_total').add(1)
    const called = this.#calledOf(session)
    const second = Math.floor(this.#edge.batcher.nowMs / 1000)
    if (second !== called.strayInSecond) called.strayAnswers = 0
    called.strayInSecond = second
    if (++called.strayAnswers > limits.strayAnswersPerSecondMax)
      session.carrier.fail(new PenstockError('INGEST_PROTOCOL_ERROR', 'answers to methods that nobody called'))
  }

  #calledOf(session: Session): Called {
    let called = this.#called.get(session)
    if (called === undefined) {
      called = { callIds: new Set(), waiting: new Set(), leave: undefined, strayAnswers: 0, strayInSecond: 0 }
      this.#called.set(session, called)
    }
    return called
  }
}

/** Outcomes of a delivery that was not written. */
const unsentFailure: Partial<Record<Outcome, CallFailure>> = {
  notSubscribed: 'notSubscribed',
  tooLarge: 'tooLarge',
  full: 'busy',
  gone: 'gone',
}

function failed(kind: CallFailure): CallOutcome {
  return { kind }
}

/** The device's text as it stands, once it is JSON: numbers in it may be finer than ours. */
function answerOf(status: number, body: Buffer): CallOutcome {
  if (body.length > limits.methodPayloadBytesMax || Math.abs(status) > 0x7fff_ffff) return failed('badAnswer')
  // Many a caller's reader calls itself for each level.
  if (!isWithinDepth(body, limits.methodPayloadDepthMax)) return failed('badAnswer')
  const payload = body.toString()
  try {
    if (payload.trim() !== '') JSON.parse(payload)
  } catch {
    return failed('badAnswer')
  }
  return { kind: 'answered', status, payload: payload.trim() }
}
