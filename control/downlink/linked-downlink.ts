import { type Clock, sleep } from '#runtime/clock.ts'
import type { CallOutcome, DeviceCall, Notice } from '#schemas/downlink.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { Downlink, EdgeLink } from './downlink.ts'
import type { EdgeFinder } from './edge-finder.ts'

/** The downlink over links to edge processes, whichever way they are linked. */
export class LinkedDownlink implements Downlink {
  readonly #finder: EdgeFinder
  readonly #clock: Clock

  constructor(finder: EdgeFinder, clock: Clock) {
    this.#finder = finder
    this.#clock = clock
  }

  async call(
    id: IdentityId,
    call: DeviceCall,
    connectMs: number,
    left?: AbortSignal,
    onAway?: () => Promise<void>,
  ): Promise<CallOutcome> {
    let isAway = false
    const endMs = this.#clock.monotonicMs() + connectMs
    const leftMs = (): number => Math.max(0, Math.round(endMs - this.#clock.monotonicMs()))
    for (;;) {
      const before = this.#finder.hinted(id)
      const outcome = await this.#callOnce(id, call, leftMs(), left)
      // What may have been written is never written again.
      if (!isElsewhere(outcome)) return outcome
      if (!isAway) await onAway?.()
      if (leftMs() === 0 || left?.aborted) return outcome
      // It was announced elsewhere meanwhile: that would not be heard again.
      if (this.#finder.hinted(id) !== before) continue
      // Whoever has waited already is not refused because others came since.
      if (!isAway && this.#finder.waitingCount >= limits.methodsWaitingMax) return { kind: 'busy' }
      isAway = true
      await this.#finder.appears(id, leftMs(), left)
      if (left?.aborted) return outcome
    }
  }

  tell(ids: readonly IdentityId[], notice: Notice): void {
    const byLink = new Map<EdgeLink | undefined, IdentityId[]>()
    for (const id of ids) {
      const link = this.#finder.hinted(id)
      const known = byLink.get(link)
      if (known === undefined) byLink.set(link, [id])
      else known.push(id)
    }
    for (const [link, theirs] of byLink) void this.#tellAt(link, theirs, notice)
  }

  async #callOnce(id: IdentityId, call: DeviceCall, waitMs: number, left?: AbortSignal): Promise<CallOutcome> {
    const hinted = this.#finder.hinted(id)
    if (hinted !== undefined) {
      const outcome = await this.#callAt(hinted, id, call, waitMs, left)
      if (!isElsewhere(outcome)) return outcome
    }
    const found = await this.#finder.find(id, hinted)
    return found === undefined ? { kind: 'notHere' } : this.#callAt(found, id, call, waitMs, left)
  }

  async #callAt(
    link: EdgeLink,
    id: IdentityId,
    call: DeviceCall,
    waitMs: number,
    left: AbortSignal | undefined,
  ): Promise<CallOutcome> {
    const endMs = this.#clock.monotonicMs() + waitMs + call.responseMs
    try {
      // Whoever left while it was looked for is not waited for there.
      return await link.call(id, call, left?.aborted ? 0 : waitMs, left)
    } catch (error) {
      if (isPenstockError(error, 'LINK_QUESTION_UNKNOWN')) return { kind: 'notHere' }
      // The device may have it, and act on it: whoever called is told when its time is over, not before.
      await sleep(this.#clock, Math.max(0, endMs - this.#clock.monotonicMs()))
      return { kind: 'noAnswer' }
    }
  }

  /** @param link where they are thought to be; `undefined`: anywhere */
  async #tellAt(link: EdgeLink | undefined, ids: readonly IdentityId[], notice: Notice): Promise<void> {
    const elsewhere = link === undefined ? ids : await link.tell(ids, notice).catch(() => ids)
    if (elsewhere.length === 0) return
    const others = this.#finder.links.filter((other) => other !== link)
    await Promise.all(
      others.map(async (other) => {
        const missed = await other.tell(elsewhere, notice).catch(() => elsewhere)
        const missing = new Set(missed.map(identityText))
        this.#finder.learned(
          other.edgeId,
          elsewhere.filter((id) => !missing.has(identityText(id))),
        )
      }),
    )
  }
}

/** Nothing was written, and the device may be at another edge, or be here in a moment. */
function isElsewhere({ kind }: CallOutcome): boolean {
  return kind === 'notHere' || kind === 'gone'
}
