import type { Log } from '#pipeline/log/log.ts'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { LogHub } from './log-hub.ts'
import type { EventHub, EventHubs } from './reading.ts'
import { RecordShelf } from './record-shelf.ts'
import type { RecordView } from './show-record.ts'

/** A hub before anybody reads it. */
export interface HubSource {
  /** A log that is open already is its owner's to close; another one is opened, and closed, here. */
  readonly log: Log | (() => Promise<Log>)
  readonly view: RecordView
}

export interface LazyHubsOptions {
  /** By their names in lower case. */
  readonly sources: Readonly<Record<string, HubSource>>
  readonly clock: Clock
  readonly logger: Logger
}

/** Hubs that are opened for their first reader: most edges have none. */
export class LazyHubs implements EventHubs {
  readonly names: readonly string[]
  readonly #options: LazyHubsOptions
  readonly #opened = new Map<string, Promise<EventHub>>()
  readonly #logs: Log[] = []
  #shelf: RecordShelf | undefined

  constructor(options: LazyHubsOptions) {
    this.#options = options
    this.names = Object.keys(options.sources)
  }

  hub(name: string): Promise<EventHub> {
    const known = this.#opened.get(name)
    if (known !== undefined) return known
    const opening = this.#open(name).catch((error: unknown) => {
      this.#opened.delete(name)
      throw error
    })
    this.#opened.set(name, opening)
    return opening
  }

  /** Closes the logs that it opened. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#opened.values())
    await Promise.all(this.#logs.splice(0).map((log) => log.close()))
  }

  async #open(name: string): Promise<EventHub> {
    const { sources, clock, logger } = this.#options
    const source = sources[name]
    assert(source !== undefined, `only hubs that are named are opened, and not ${name}`)
    const log = typeof source.log === 'function' ? await source.log() : source.log
    if (log !== source.log) this.#logs.push(log)
    this.#shelf ??= new RecordShelf()
    return new LogHub({ log, name, shelf: this.#shelf, view: source.view, clock, logger })
  }
}
