import type { Log } from '#pipeline/log/log.ts'
import { LetterLedger, type ListedLetter } from '#pipeline/workers/dead-letters/dead-letter-states.ts'

/** What became of all dead letters. Who asks again waits for what was written since, not for the whole topic. */
export class LetterBook {
  readonly #open: () => Promise<Log>
  #ledgers: readonly LetterLedger[] = []
  #reading: Promise<unknown> = Promise.resolve()

  constructor(open: () => Promise<Log>) {
    this.#open = open
  }

  /** In the order they were written, without their bytes. @throws LOG_UNAVAILABLE, and what opening the log throws */
  letters(): Promise<ListedLetter[]> {
    // One after the other: a ledger reads on from where it is.
    const listed = this.#reading.then(() => this.#read())
    this.#reading = listed.catch(() => {})
    return listed
  }

  async #read(): Promise<ListedLetter[]> {
    const log = await this.#open()
    if (this.#ledgers.length === 0)
      this.#ledgers = Array.from({ length: log.partitionCount }, (_, partition) => new LetterLedger(log, partition))
    for (const ledger of this.#ledgers) await ledger.readOn()
    return this.#ledgers.flatMap((ledger) => [...ledger.letters()])
  }
}
