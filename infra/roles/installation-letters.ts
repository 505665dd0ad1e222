import type { DeadLetters, LetterHead, WholeLetter } from '#control/dead-letters/dead-letters.ts'
import {
  dropDeadLetter,
  letterIdFromText,
  readDeadLetter,
  replayDeadLetter,
} from '#pipeline/operate/dead-letter-commands.ts'
import { findDeadLetter, type ListedLetter, textOfLetterId } from '#pipeline/workers/dead-letters/dead-letter-states.ts'
import type { Clock } from '#runtime/clock.ts'
import { envelopesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { logTopic } from '#schemas/log-topics.ts'
import type { AskedLogs } from './asked-logs.ts'
import type { LetterBook } from './letter-book.ts'
import type { ReplayToEndpoint } from './replay-letters.ts'

export interface InstallationLettersOptions {
  readonly topicPrefix: string
  readonly logs: Pick<AskedLogs, 'log'>
  readonly book: Pick<LetterBook, 'letters'>
  readonly replayToEndpoint: ReplayToEndpoint
  readonly clock: Clock
}

/** A letter may hold thousands of messages. */
const messagesShown = 20

/** What `penstock dead-letters` does, for the service API. */
export class InstallationLetters implements DeadLetters {
  readonly #options: InstallationLettersOptions
  /** One at a time: two replays of one letter would each look before the other had noted it. */
  #settling: Promise<unknown> = Promise.resolve()

  constructor(options: InstallationLettersOptions) {
    this.#options = options
  }

  async list(): Promise<readonly LetterHead[]> {
    return (await this.#options.book.letters()).map(headOf)
  }

  async read(id: string): Promise<WholeLetter> {
    const log = await this.#options.logs.log('dead-letters')
    const found = await findDeadLetter(log, letterIdFromText(id))
    const { bytes } = await readDeadLetter(log, found.id)
    try {
      return { ...headOf(found), messages: envelopesOfBatch(bytes).slice(0, messagesShown), fault: undefined }
    } catch (error) {
      if (!isPenstockError(error)) throw error
      return { ...headOf(found), messages: [], fault: error.message }
    }
  }

  replay(id: string): Promise<void> {
    return this.#oneByOne(async () => {
      const { logs, topicPrefix, replayToEndpoint, clock } = this.#options
      const log = await logs.log('dead-letters')
      const found = await findDeadLetter(log, letterIdFromText(id))
      const { endpoint: name, topic } = found.letter
      if (name !== undefined) return await replayToEndpoint({ log, name, letters: [found], write: () => {} })
      // Back to where it came from: device events have a topic of their own.
      const home = await logs.log(topic === logTopic(topicPrefix, 'events') ? 'events' : 'telemetry')
      await replayDeadLetter(log, home, found.id, clock.nowMs())
    })
  }

  drop(id: string): Promise<void> {
    return this.#oneByOne(async () => {
      const { logs, clock } = this.#options
      await dropDeadLetter(await logs.log('dead-letters'), letterIdFromText(id), clock.nowMs())
    })
  }

  #oneByOne(action: () => Promise<void>): Promise<void> {
    const done = this.#settling.then(action)
    this.#settling = done.catch(() => {})
    return done
  }
}

function headOf({ id, letter, byteCount, state, stateAtMs }: ListedLetter): LetterHead {
  const { topic, partition, offset, reason, text, atMs, messageCount, messageFirst = 0, endpoint } = letter
  return {
    ...{ id: textOfLetterId(id), state, stateAtMs, atMs, reason, text, endpoint },
    ...{ topic, partition, offset, messageFirst, messageCount, bytes: byteCount },
  }
}
