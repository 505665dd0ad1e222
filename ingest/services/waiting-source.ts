import type { MessageSource, OutgoingLink } from '#ingest/amqp/outgoing-link.ts'
import { assert } from '#runtime/assert.ts'

/**
 * A source that sends while its client takes something, and waits where it has nothing:
 *
 *   wake ──▶ sends ── no room ──▶ the client's FLOW, or its socket ──▶ wake
 *             └── nothing at hand ──▶ waits ── there is ──▶ wake      meanwhile a wake only tells that it ran dry
 */
export abstract class WaitingSource implements MessageSource {
  readonly #link: OutgoingLink
  #isSending = false
  /** While it sent, maybe after it last looked. */
  #isWoken = false
  #cancelWait: (() => void) | undefined = undefined

  constructor(link: OutgoingLink) {
    this.#link = link
  }

  wake(): void {
    if (this.#cancelWait !== undefined) this.#link.ranDry()
    else if (this.#isSending) this.#isWoken = true
    else void this.#run()
  }

  end(): void {
    this.#cancelWait?.()
    this.#cancelWait = undefined
  }

  /** Sends as long as there is room, or `waitFor` was called. Never rejects. */
  protected abstract send(): Promise<void>

  /** Sends again once there may be something; a link that has ended waits for nothing. @param begin calls back, and gives what ends the wait */
  protected waitFor(begin: (goOn: () => void) => () => void): void {
    if (!this.#link.isOpen) return
    assert(this.#cancelWait === undefined, 'a source waits for one thing: of two waits one would never end')
    this.#cancelWait = begin(() => {
      this.#cancelWait = undefined
      this.wake()
    })
  }

  async #run(): Promise<void> {
    this.#isSending = true
    do {
      this.#isWoken = false
      await this.send()
    } while (this.#isWoken && this.#cancelWait === undefined)
    this.#isSending = false
  }
}
