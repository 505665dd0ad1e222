import type { Logger } from '#runtime/logger.ts'
import { type Changes, type ControlChange, changeChannel, changeFromPayload } from './changes.ts'
import type { Database } from './database.ts'

/** A further channel of notifications, whose payloads are its capability's own. */
export interface OwnChannel {
  readonly name: string
  onPayload(payload: string): void
}

/** Listens to the store, for all capabilities of this process at once. */
export class ChangeFeed implements Changes {
  readonly #logger: Logger
  readonly #listeners = new Set<(change: ControlChange) => void>()
  #unlisten: (() => Promise<void>) | undefined

  private constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Resolves once it hears. */
  static async open(database: Database, logger: Logger, ownChannels: readonly OwnChannel[]): Promise<ChangeFeed> {
    const feed = new ChangeFeed(logger)
    const own = new Map(ownChannels.map((channel) => [channel.name, channel]))
    feed.#unlisten = await database.listen(
      [changeChannel, ...own.keys()],
      (payload, channel) => {
        if (channel === changeChannel) feed.#tell(changeFromPayload(payload))
        else own.get(channel)?.onPayload(payload)
      },
      () => feed.#tell({ kind: 'resync' }),
    )
    return feed
  }

  onChange(listener: (change: ControlChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    await this.#unlisten?.()
  }

  #tell(change: ControlChange): void {
    tellAll(this.#listeners, change, this.#logger)
  }
}

/** One listener that fails keeps no other from hearing. */
export function tellAll<Told>(listeners: Iterable<(told: Told) => void>, told: Told, logger: Logger): void {
  for (const listener of listeners) {
    try {
      listener(told)
    } catch (error) {
      logger.error('a listener to the control store failed', { error })
    }
  }
}
