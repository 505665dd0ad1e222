/**
 * Desired properties: each change is told to the device that listens, or overtaken by a later one that is [G-8].
 *
 *   listens ─▶ from which version on? ─▶ up to date ── changed, or notices missed ──▶ behind ─▶ read ─▶ told
 *              read it on this connection     ▲                                                           │
 *              told it on an earlier one      └────────────── the device has it, or it is written ────────┘
 *              neither: from now on
 *
 * What is told is read when it is told: one patch from the version that the device has to the newest. So nothing is told out of order,
 * nothing is left out, and however slow a device is no more than one patch waits for it. A read travels for up to 500 devices; one is
 * under way, and who falls behind meanwhile makes up the next.
 */
import type { DesiredChange, DesiredSeen, DeviceTwins, TwinNotice } from '#control/twins/twins.ts'
import { type EdgeContext, tickMs } from '#ingest/session/edge-context.ts'
import type { Session } from '#ingest/session/session.ts'
import { assert } from '#runtime/assert.ts'
import { sleep } from '#runtime/clock.ts'
import { isCount } from '#runtime/count.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'

/** Pause after the store did not answer, or a device did not read. */
const retryMs = 1_000
/** What was written to a device and never acknowledged is taken to have come if the device was heard of so much later. */
const arrivedMsMin = 1_000

/** A session that read its twin, or listens to changes of it. */
interface Follower {
  readonly session: Session
  readonly id: IdentityId
  isListening: boolean
  /** The version that the device has, or that is on its way; `undefined`: not known yet. */
  has: number | undefined
  hasSinceTick: number
  /** The version that arrived for sure. */
  hasForSure: number | undefined
  /** The version that was handed over last; of it the device may not have heard yet. */
  pushed: number
  /** What the store will tell of it once it comes back; `undefined`: nothing. */
  stored: number | undefined
  /** Of changes that were heard of while `has` is not known, the first. */
  changedFirst: number
  isBeingTold: boolean
  /** More changed while it is being told. */
  isBehindAgain: boolean
}

type FollowedEdge = Pick<EdgeContext, 'sessions' | 'clock' | 'ticks' | 'logger' | 'metrics'>

export class DesiredFollowers {
  readonly #edge: FollowedEdge
  readonly #store: DeviceTwins
  readonly #catchesUp: boolean
  readonly #followers = new Map<Session, Follower>()
  /** They listen, and may not have the newest version. */
  readonly #behind = new Set<Follower>()
  readonly #unplaced = new Set<Follower>()
  readonly #closed = new AbortController()
  readonly #unwatch: () => void
  #saw: DesiredSeen[] = []
  #isReading = false

  constructor(edge: FollowedEdge, store: DeviceTwins, catchesUp: boolean) {
    this.#edge = edge
    this.#store = store
    this.#catchesUp = catchesUp
    this.#unwatch = store.onDesired((notice) => this.#hear(notice))
  }

  follow(session: Session): void {
    const follower = this.#followerOf(session)
    if (follower === undefined || follower.isListening) return
    follower.isListening = true
    follower.changedFirst = Number.POSITIVE_INFINITY
    if (follower.has === undefined) this.#unplaced.add(follower)
    else {
      // This process may not live to tell it at the end.
      follower.hasForSure ??= follower.has
      this.#keep(follower)
      this.#behind.add(follower)
    }
    this.#read()
  }

  unfollow(session: Session): void {
    const follower = this.#followers.get(session)
    if (follower === undefined) return
    follower.isListening = false
    this.#behind.delete(follower)
    this.#unplaced.delete(follower)
  }

  ended(session: Session): void {
    const follower = this.#followers.get(session)
    if (follower === undefined) return
    const { isListening } = follower
    this.#ascertain(follower)
    this.unfollow(session)
    this.#followers.delete(session)
    if (isListening) this.#keep(follower)
  }

  /** 0: of none that was. */
  pushedTo(session: Session): number {
    return this.#followers.get(session)?.pushed ?? 0
  }

  /** The device is about to get all of its twin. */
  wasRead(session: Session, version: number): void {
    assertVersion(version)
    const follower = this.#followerOf(session)
    if (follower === undefined || version < follower.pushed) return
    this.#got(follower, version)
    follower.pushed = version
  }

  close(): void {
    this.#unwatch()
    this.#closed.abort()
    this.#flushSaw()
  }

  /** `undefined`: it has no name, or ended. */
  #followerOf(session: Session): Follower | undefined {
    const known = this.#followers.get(session)
    const { deviceId, moduleId } = session
    if (known !== undefined || deviceId === undefined) return known
    const id = { deviceId, moduleId }
    // An answer may come after the end of who asked.
    if (this.#edge.sessions.get(identityText(id)) !== session) return undefined
    const follower: Follower = {
      session,
      id,
      isListening: false,
      has: undefined,
      hasSinceTick: 0,
      hasForSure: undefined,
      pushed: 0,
      stored: undefined,
      changedFirst: Number.POSITIVE_INFINITY,
      isBeingTold: false,
      isBehindAgain: false,
    }
    this.#followers.set(session, follower)
    return follower
  }

  #hear(notice: TwinNotice): void {
    if (notice === undefined) {
      for (const follower of this.#followers.values())
        if (follower.isListening && follower.has !== undefined) this.#behind.add(follower)
    } else for (const changed of notice) this.#hearOf(changed)
    this.#read()
  }

  #hearOf(changed: DesiredSeen): void {
    const session = this.#edge.sessions.get(identityText(changed))
    const follower = session && this.#followers.get(session)
    if (!follower?.isListening) return
    follower.changedFirst = Math.min(follower.changedFirst, changed.version)
    if (follower.has !== undefined && follower.pushed < changed.version) this.#behind.add(follower)
  }

  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    // Who came in this turn of the event loop is read together.
    await new Promise(setImmediate)
    while (!signal.aborted) {
      const unplaced = some(this.#unplaced)
      const behind = some(this.#behind)
      if (unplaced.length === 0 && behind.length === 0) break
      try {
        if (unplaced.length > 0) await this.#place(unplaced)
        if (behind.length > 0) await this.#tell(behind)
      } catch (error) {
        this.#edge.logger.warn('desired properties wait for the control store', { error })
        for (const follower of unplaced)
          if (follower.isListening && follower.hasForSure === undefined) this.#unplaced.add(follower)
        for (const follower of behind) if (follower.isListening) this.#behind.add(follower)
        await sleep(this.#edge.clock, retryMs, signal)
      }
    }
    this.#isReading = false
  }

  /** Finds out from which version on they are told. */
  async #place(unplaced: readonly Follower[]): Promise<void> {
    const ids = unplaced.map(({ id }) => id)
    const seen = this.#catchesUp ? await this.#store.seen(ids) : []
    const versions = new Map(seen.map((one) => [identityText(one), one.version]))
    await Promise.all(
      unplaced.map(async (follower) => {
        const stored = versions.get(identityText(follower.id))
        const version = stored ?? (await this.#currentOf(follower))
        if (version === undefined || !follower.isListening) return
        assertVersion(version)
        // It may have read its twin meanwhile, which is not known to have arrived: what it is told begins there, what is kept of it does not.
        if (follower.has === undefined) {
          follower.has = version
          follower.pushed = version
        }
        follower.hasForSure ??= version
        follower.stored = stored
        this.#keep(follower)
        this.#behind.add(follower)
      }),
    )
  }

  /** The version when it began to listen, or a later one; `undefined`: it is not registered any more. */
  async #currentOf(follower: Follower): Promise<number | undefined> {
    try {
      const { desiredVersion } = await this.#store.read(follower.id)
      return Math.min(desiredVersion, follower.changedFirst - 1)
    } catch (error) {
      if (isPenstockError(error) && error.disposition === 'reject') return undefined
      throw error
    }
  }

  async #tell(behind: readonly Follower[]): Promise<void> {
    for (const follower of behind) if (follower.isBeingTold) follower.isBehindAgain = true
    const asked = behind.filter(({ isBeingTold }) => !isBeingTold)
    if (asked.length === 0) return
    const changes = await this.#store.desiredSince(
      asked.map(({ id, has }) => {
        assert(has !== undefined, 'who is behind is behind some version')
        return { ...id, version: has }
      }),
    )
    // Answers to reads that are there leave first, so that what they know of the device's version holds.
    await new Promise(setImmediate)
    const byId = new Map(asked.map((follower) => [identityText(follower.id), follower]))
    for (const change of changes) {
      assertVersion(change.version)
      const follower = byId.get(identityText(change))
      assert(follower !== undefined, 'the store tells of those that it was asked about')
      if (follower.isListening && change.version > follower.pushed) void this.#send(follower, change)
    }
  }

  async #send(follower: Follower, { version, text }: DesiredChange): Promise<void> {
    const before = follower.pushed
    follower.pushed = version
    follower.isBeingTold = true
    follower.isBehindAgain = false
    const outcome = await follower.session.send({ feed: 'desired', version, body: Buffer.from(text) })
    this.#edge.metrics.series('penstock_edge_desired_told_total', { outcome }).add(1)
    follower.isBeingTold = false
    // A packet that the device can never take is not sent again and again.
    if (outcome === 'sent' || outcome === 'acknowledged' || outcome === 'rejected' || outcome === 'tooLarge') {
      this.#got(follower, version)
      if (outcome !== 'sent') follower.hasForSure = Math.max(version, follower.hasForSure ?? 0)
      if (!follower.isBehindAgain) return
    } else {
      if (follower.pushed === version) follower.pushed = before
      await sleep(this.#edge.clock, retryMs, this.#closed.signal)
    }
    if (!follower.isListening) return
    this.#behind.add(follower)
    this.#read()
  }

  #got(follower: Follower, version: number): void {
    this.#ascertain(follower)
    follower.has = Math.max(version, follower.has ?? 0)
    follower.hasSinceTick = this.#edge.ticks
  }

  /** By ticks, as silence is counted: while a process stands still it hears nobody. */
  #ascertain(follower: Follower): void {
    const { ticks } = this.#edge
    const heardAtTick = ticks - follower.session.carrier.silentMs / tickMs
    if ((heardAtTick - follower.hasSinceTick) * tickMs >= arrivedMsMin) follower.hasForSure = follower.has
  }

  /** Tells the store what the device has, for when it comes back. */
  #keep(follower: Follower): void {
    const { id, hasForSure, stored } = follower
    if (!this.#catchesUp || hasForSure === undefined || hasForSure === stored) return
    follower.stored = hasForSure
    if (this.#saw.length === 0) setImmediate(() => this.#flushSaw())
    this.#saw.push({ ...id, version: hasForSure })
  }

  #flushSaw(): void {
    this.#store.saw(this.#saw.splice(0))
  }
}

/** No version is behind one that is no number: whoever had it would never be told again. */
function assertVersion(version: number): void {
  assert(isCount(version), `desired properties have a version, and not ${version}`)
}

/** Takes as many as travel together. */
function some(followers: Set<Follower>): Follower[] {
  const taken: Follower[] = []
  for (const follower of followers) {
    if (taken.length === limits.twinGroupMax) break
    followers.delete(follower)
    taken.push(follower)
  }
  return taken
}
