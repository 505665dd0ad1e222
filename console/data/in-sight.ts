const hiddenMsMax = 60_000

/**
 * A stream holds one of the few connections that a browser has to a server, so a page that nobody sees gives it up after a while. Not
 * at once: whoever types a command in a terminal above the page comes back to see its message.
 */
export class InSight {
  readonly signal: AbortSignal
  readonly #hidden = new AbortController()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(outer: AbortSignal) {
    this.signal = AbortSignal.any([outer, this.#hidden.signal])
    document.addEventListener('visibilitychange', this.#look)
    this.#look()
  }

  get isHidden(): boolean {
    return this.#hidden.signal.aborted
  }

  end(): void {
    document.removeEventListener('visibilitychange', this.#look)
    clearTimeout(this.#timer)
  }

  /** Resolves once the page is seen, where it had been given up. */
  async seen(): Promise<void> {
    while (this.isHidden && document.hidden)
      await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }))
  }

  readonly #look = (): void => {
    clearTimeout(this.#timer)
    if (document.hidden) this.#timer = setTimeout(() => this.#hidden.abort(), hiddenMsMax)
  }
}
