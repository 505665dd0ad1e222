import type { Clock } from '#runtime/clock.ts'
import { type AskingLink, openLink } from '#runtime/http/asking-link.ts'

/** Where there was no link, one is tried for again after so long: a control role of before links, or a proxy in between, knows none. */
const againMs = 10_000

/**
 * The link over which an edge process passes short requests on to the control role, many at once. Until there is one they go another way:
 * nobody waits for it.
 */
export class ControlLink {
  readonly #authority: string | undefined
  readonly #clock: Clock
  #origin = ''
  #link: AskingLink | undefined
  #isOpening = false
  #openAtMs = Number.NEGATIVE_INFINITY

  /** @param authority certificate that the control role's own is signed by; `undefined`: those that Node trusts */
  constructor(authority: string | undefined, clock: Clock) {
    this.#authority = authority
    this.#clock = clock
  }

  /** The link to `origin` if there is one that takes a request of so many bytes; else one may be there soon. */
  find(origin: string, bytes: number): AskingLink | undefined {
    if (origin !== this.#origin) {
      // The control role began anew, elsewhere; what the old one answers still comes.
      this.#origin = origin
      this.#link = undefined
      this.#openAtMs = Number.NEGATIVE_INFINITY
    }
    if (this.#link === undefined) void this.#open(origin)
    return this.#link?.hasRoom(bytes) ? this.#link : undefined
  }

  async #open(origin: string): Promise<void> {
    if (this.#isOpening || this.#clock.monotonicMs() < this.#openAtMs) return
    this.#isOpening = true
    this.#openAtMs = this.#clock.monotonicMs() + againMs
    const link = await openLink(origin, this.#authority, this.#clock).catch(() => undefined)
    this.#isOpening = false
    if (link === undefined) return
    if (origin === this.#origin) this.#link = link
    else link.destroy()
    await link.closed
    if (this.#link === link) {
      this.#link = undefined
      this.#openAtMs = Number.NEGATIVE_INFINITY
    }
  }
}
