/**
 * Twins of devices, whatever they speak: reads and reports are asked of control, and the answer goes back with its request. What a device
 * is told of its desired properties is `desired-follower.ts`.
 */
import { patchFrom } from '#control/twins/patch-json.ts'
import type { DeviceTwins } from '#control/twins/twins.ts'
import type { Capability } from '#ingest/session/capabilities.ts'
import type { Feed } from '#ingest/session/delivery.ts'
import type { DeviceAnswer, DeviceRequest } from '#ingest/session/device-request.ts'
import type { EdgeContext } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { assert } from '#runtime/assert.ts'
import { TokenBucket } from '#runtime/token-bucket.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import { hubFaultOf } from '#schemas/hub-faults.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { DesiredFollowers } from './desired-followers.ts'
import { refusedAnswer } from './request-desk.ts'

export interface TwinOptions {
  readonly store: DeviceTwins
  /** Whether a device that was away is told what changed meanwhile. */
  readonly catchesUp: boolean
}

export class Twins implements Capability {
  readonly requests = {
    twinRead: (session: Session) => this.#answer(session, 'read', (id) => this.#read(session, id)),
    twinReport: (session: Session, request: DeviceRequest) =>
      this.#answer(session, 'report', (id) => this.#report(id, request)),
  }
  readonly #edge: EdgeContext
  readonly #store: DeviceTwins
  readonly #followers: DesiredFollowers
  /** Of sessions that asked for something. */
  readonly #buckets = new Map<Session, TokenBucket>()

  constructor(edge: EdgeContext, { store, catchesUp }: TwinOptions) {
    this.#edge = edge
    this.#store = store
    this.#followers = new DesiredFollowers(edge, store, catchesUp)
  }

  onSubscribed(session: Session, feed: Feed): void {
    if (feed === 'desired') this.#followers.follow(session)
  }

  onUnsubscribed(session: Session, feed: Feed): void {
    if (feed === 'desired') this.#followers.unfollow(session)
  }

  onEnded(session: Session): void {
    this.#buckets.delete(session)
    this.#followers.ended(session)
  }

  /** Once all sessions have ended. */
  close(): void {
    this.#followers.close()
  }

  async #read(session: Session, id: IdentityId): Promise<DeviceAnswer> {
    let twin = await this.#store.read(id)
    // It was told of a later version while this was read, as it may be again: what it reads must not be older.
    for (let reads = 1; twin.desiredVersion < this.#followers.pushedTo(session); reads++) {
      // Nor does it become younger where the store was set back, as from a backup.
      if (reads === limits.twinReadsMax)
        throw new PenstockError('TWIN_CONFLICT', 'the twin was changed again and again while it was read')
      twin = await this.#store.read(id)
    }
    this.#followers.wasRead(session, twin.desiredVersion)
    return { status: 200, body: Buffer.from(twin.text) }
  }

  async #report(id: IdentityId, { body, version: ifVersion }: DeviceRequest): Promise<DeviceAnswer> {
    const patch = patchFrom(body)
    const version = await this.#store.report({ id, patch, bytes: body.length, ifVersion })
    assert(Number.isSafeInteger(version), `what a device reports has a version from then on, and not ${version}`)
    return { status: 204, version }
  }

  /** Never rejects: a client that gets no answer waits for ever. */
  async #answer(
    session: Session,
    request: 'read' | 'report',
    ask: (id: IdentityId) => Promise<DeviceAnswer>,
  ): Promise<DeviceAnswer> {
    let answer: DeviceAnswer
    try {
      const { deviceId, moduleId } = session
      if (deviceId === undefined) throw new PenstockError('REGISTRY_ID_INVALID', 'a client without an id has no twin')
      this.#takeToken(session)
      answer = await ask({ deviceId, moduleId })
    } catch (error) {
      if (!isPenstockError(error)) this.#edge.logger.error('a twin request failed', { request, error })
      const message = isPenstockError(error) ? error.message : 'the request could not be carried out'
      answer = refusedAnswer(hubFaultOf(error).number, message)
    }
    this.#edge.metrics.series('penstock_edge_twin_requests_total', { request, status: String(answer.status) }).add(1)
    return answer
  }

  #takeToken(session: Session): void {
    const nowMs = this.#edge.clock.nowMs()
    let bucket = this.#buckets.get(session)
    if (bucket === undefined) {
      bucket = new TokenBucket(limits.twinRequestsPerSecond, limits.twinRequestsBurst, nowMs)
      this.#buckets.set(session, bucket)
    }
    const waitMs = bucket.missingMs(1, nowMs)
    if (waitMs > 0)
      throw new PenstockError('INGEST_RATE_EXCEEDED', `too many twin requests: the next one in ${waitMs} ms`)
    bucket.take(1, nowMs)
  }
}
