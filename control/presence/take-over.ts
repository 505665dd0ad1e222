/**
 * One connection a device, also over edge processes that know of one another through the registry only [MQTT-3.1.4-2].
 *
 *   opened ─▶ gathered for `announceDelayMs` ─▶ announced ─▶ notice to all edge processes
 *   notice of another edge ─▶ opened after ours  ─▶ ours ends
 *                          └▶ opened before ours ─▶ ours is announced again, since the other has not ended
 *   notices may be missing ─▶ whatever is open is announced again
 *
 * Moments are the store's own (`announcements.ts`), so all edges judge alike whatever their clocks say: of two connections the one
 * that opened later stays, of two at one moment that of the greater edge name. Nothing waits for a notice: until it is heard both
 * are open. Memory: about 200 bytes a connection.
 */
import { randomBytes } from 'node:crypto'
import type { Invalidations } from '#control/store/changes.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { Announcement, Announcements } from './presence.ts'

interface Held {
  readonly id: IdentityId
  readonly openedAtMs: number
  /** By the store's clock; `undefined` until it is announced. */
  atMs: number | undefined
  /** The latest that another edge announced meanwhile. */
  rival: Rival | undefined
}

interface Rival {
  readonly edge: string
  readonly atMs: number
}

export class TakeOver {
  /** Of this start: two processes of one name are two edges. */
  readonly #edge: string
  readonly #directory: Announcements & Invalidations
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #onTakenOver: (sessionId: string) => void
  readonly #held = new Map<string, Held>()
  readonly #waiting = new Set<Held>()
  readonly #closed = new AbortController()
  readonly #unwatches: readonly (() => void)[]
  #announcing: Promise<void> | undefined

  /** @param onTakenOver ends the connection of this device or module here, `device` or `device/module`, and thereby calls `ended` */
  constructor(
    directory: Announcements & Invalidations,
    clock: Clock,
    logger: Logger,
    onTakenOver: (sessionId: string) => void,
    edge = randomBytes(9).toString('base64url'),
  ) {
    this.#edge = edge
    this.#directory = directory
    this.#clock = clock
    this.#logger = logger
    this.#onTakenOver = onTakenOver
    this.#unwatches = [
      directory.onAnnounced((announcement) => this.#hear(announcement)),
      directory.onInvalidate(({ kind }) => {
        if (kind === 'everything') this.#announceAll()
      }),
    ]
  }

  /** A device or module connected here; an older connection of it here has ended before. */
  opened(id: IdentityId): void {
    const held = { id, openedAtMs: this.#clock.nowMs(), atMs: undefined, rival: undefined }
    this.#held.set(identityText(id), held)
    this.#announce(held)
  }

  ended(id: IdentityId): void {
    const sessionId = identityText(id)
    const held = this.#held.get(sessionId)
    if (held === undefined) return
    this.#held.delete(sessionId)
    // A short one still ends what is older, unless there is so much to tell that memory would not be bounded.
    if (this.#waiting.size > limits.announcedAtOnceMax) this.#waiting.delete(held)
  }

  async close(): Promise<void> {
    this.#closed.abort()
    for (const unwatch of this.#unwatches) unwatch()
    await this.#announcing
  }

  #announce(held: Held): void {
    this.#waiting.add(held)
    this.#announcing ??= this.#run()
  }

  #announceAll(): void {
    for (const held of this.#held.values()) {
      // The store may be another one now, with a clock of its own.
      held.atMs = undefined
      held.rival = undefined
      this.#announce(held)
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#closed
    let delayMs: number = limits.announceDelayMs
    while (this.#waiting.size > 0) {
      await sleep(this.#clock, delayMs, signal)
      if (signal.aborted) break
      delayMs = (await this.#announceSome()) ? limits.announceDelayMs : limits.announceRetryMs
    }
    // In the tick of the last look at the set, so that what is added after it starts a run of its own.
    this.#announcing = undefined
  }

  async #announceSome(): Promise<boolean> {
    const batch: Held[] = []
    for (const held of this.#waiting) {
      if (batch.length === limits.announcedAtOnceMax) break
      this.#waiting.delete(held)
      batch.push(held)
    }
    try {
      const opened = batch.map(({ id, openedAtMs }) => ({ ...id, atMs: openedAtMs }))
      const aheadMs = await this.#directory.announce(this.#edge, opened)
      for (const held of batch) this.#announced(held, held.openedAtMs + aheadMs)
      return true
    } catch (error) {
      this.#logger.warn('other edges do not learn yet who connected here; trying again', {
        count: batch.length,
        error,
      })
      for (const held of batch) if (this.#isHeld(held)) this.#waiting.add(held)
      return false
    }
  }

  #announced(held: Held, atMs: number): void {
    const { rival } = held
    held.atMs = atMs
    held.rival = undefined
    if (rival && this.#isHeld(held) && this.#isLater(rival, atMs)) this.#onTakenOver(identityText(held.id))
  }

  #hear({ edge, opened }: Announcement): void {
    if (edge === this.#edge) return
    for (const record of opened) {
      const sessionId = identityText(record)
      const held = this.#held.get(sessionId)
      if (held === undefined) continue
      const rival = { edge, atMs: record.atMs }
      if (held.atMs === undefined) {
        if (held.rival === undefined || rival.atMs > held.rival.atMs) held.rival = rival
      } else if (this.#isLater(rival, held.atMs)) this.#onTakenOver(sessionId)
      else this.#announce(held)
    }
  }

  #isLater(rival: Rival, atMs: number): boolean {
    return rival.atMs > atMs || (rival.atMs === atMs && rival.edge > this.#edge)
  }

  #isHeld(held: Held): boolean {
    return this.#held.get(identityText(held.id)) === held
  }
}
