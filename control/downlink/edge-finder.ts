/**
 * Which edge process holds a device.
 *
 *   announced, or found before ─▶ hint ─▶ asked first
 *   no hint, or no longer true ─▶ all edges are asked at once; the first that says yes
 *   nobody holds it            ─▶ waits until it is announced; all edges are asked again every second, in case that was not heard
 *
 * Hints are no truth: one that is missing or wrong costs a question more. So a notice that is late, lost, or does not come since the store
 * is away makes no device unreachable.
 */
import { type Clock, sleep } from '#runtime/clock.ts'
import { forgetOldest } from '#runtime/forget-oldest.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { EdgeLink } from './downlink.ts'

interface Waiting {
  readonly id: IdentityId
  readonly resolve: () => void
}

export class EdgeFinder {
  readonly #clock: Clock
  readonly #links = new Map<string, EdgeLink>()
  /** Name of the edge, by the device's; the oldest hint comes first. */
  readonly #hints = new Map<string, string>()
  readonly #waiting = new Set<Waiting>()
  readonly #closed = new AbortController()
  #asking: Promise<void> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @returns takes it away again; does nothing if a newer link to the same edge took its place */
  add(link: EdgeLink): () => void {
    this.#links.set(link.edgeId, link)
    // Whoever is waited for may be there already.
    for (const { resolve } of this.#waiting) resolve()
    return () => {
      if (this.#links.get(link.edgeId) === link) this.#links.delete(link.edgeId)
    }
  }

  get links(): readonly EdgeLink[] {
    return [...this.#links.values()]
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  /** Where it was last known to be. */
  hinted(id: IdentityId): EdgeLink | undefined {
    const edgeId = this.#hints.get(identityText(id))
    return edgeId === undefined ? undefined : this.#links.get(edgeId)
  }

  /** These connected at an edge, or were found there. */
  learned(edgeId: string, ids: readonly IdentityId[]): void {
    for (const id of ids) {
      const text = identityText(id)
      this.#hints.delete(text)
      this.#hints.set(text, edgeId)
    }
    forgetOldest(this.#hints, limits.edgeHintsMax)
    if (this.#waiting.size === 0) return
    const texts = new Set(ids.map(identityText))
    for (const { id, resolve } of this.#waiting) if (texts.has(identityText(id))) resolve()
  }

  /** Asks all edges but `except`. */
  async find(id: IdentityId, except?: EdgeLink): Promise<EdgeLink | undefined> {
    const asked = this.links.filter((link) => link !== except)
    const holding = asked.map(async (link) => {
      const [isHeld] = await link.holds([id])
      if (isHeld !== true) throw new Error('not here')
      return link
    })
    const found = await Promise.any(holding).catch(() => undefined)
    if (found) this.learned(found.edgeId, [id])
    return found
  }

  /** Resolves once it may be found, after `waitMs`, or at once when `left` aborts. */
  async appears(id: IdentityId, waitMs: number, left?: AbortSignal): Promise<void> {
    if (left?.aborted) return
    await new Promise<void>((resolve) => {
      const done = (): void => {
        cancel()
        left?.removeEventListener('abort', done)
        this.#waiting.delete(waiting)
        resolve()
      }
      const waiting: Waiting = { id, resolve: done }
      const cancel = this.#clock.after(waitMs, done)
      left?.addEventListener('abort', done)
      this.#waiting.add(waiting)
      this.#asking ??= this.#askAgain()
    })
  }

  async close(): Promise<void> {
    this.#closed.abort()
    for (const { resolve } of this.#waiting) resolve()
    await this.#asking
  }

  async #askAgain(): Promise<void> {
    const { signal } = this.#closed
    while (this.#waiting.size > 0 && !signal.aborted) {
      await sleep(this.#clock, limits.edgesAskedAgainMs, signal)
      const ids = [...this.#waiting].map(({ id }) => id)
      if (ids.length === 0 || signal.aborted) break
      await Promise.all(
        this.links.map(async (link) => {
          const held = await link.holds(ids).catch(() => [])
          const here = ids.filter((_, index) => held[index] === true)
          if (here.length > 0) this.learned(link.edgeId, here)
        }),
      )
    }
    this.#asking = undefined
  }
}
