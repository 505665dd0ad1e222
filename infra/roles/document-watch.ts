import type { Logger } from '#runtime/logger.ts'
import { isPenstockError } from '#schemas/errors.ts'
import type { RoutingDocument } from '#schemas/routing/routing.ts'

/** Whoever goes by the routes. */
export interface RoutesUser {
  /** The one in force there. */
  readonly revision: number
  /** @throws ROUTING_INVALID; then the one before stays in force */
  apply(revision: number, document: RoutingDocument): void
}

export interface RoutesSource {
  /** @throws STORE_UNAVAILABLE, ROUTING_SECRETS_UNREADABLE */
  inForce(): Promise<{ readonly revision: number; readonly document: RoutingDocument }>
  readonly store: { onChange(listener: () => void): () => void }
}

/** Puts each document in force that control wrote. */
export class DocumentWatch {
  readonly #user: RoutesUser
  readonly #source: RoutesSource
  readonly #logger: Logger
  readonly #unwatch: () => void
  #looking: Promise<void> = Promise.resolve()
  #refused: number | undefined

  constructor(user: RoutesUser, source: RoutesSource, logger: Logger) {
    this.#user = user
    this.#source = source
    this.#logger = logger
    this.#unwatch = source.store.onChange(() => void this.look())
  }

  /** One look after the other. What could not be put in force is tried again at the next, and said once. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#apply())
    return this.#looking
  }

  async close(): Promise<void> {
    this.#unwatch()
    await this.#looking
  }

  async #apply(): Promise<void> {
    const { revision: before } = this.#user
    try {
      const { revision, document } = await this.#source.inForce()
      if (revision === before) return
      this.#user.apply(revision, document)
      this.#logger.info('routes are in force', { revision, endpoints: document.endpoints.length })
    } catch (error) {
      if (!isPenstockError(error)) throw error
      if (this.#refused === before) return
      this.#refused = before
      this.#logger.error('a document of routes cannot be put in force; the one before stays', {
        revision: before,
        error,
      })
    }
  }
}
