import type { Log } from '#pipeline/log/log.ts'
import { type LogTopicName, logTopicNames } from '#schemas/log-topics.ts'

/** Logs that are opened once somebody asks about them: who never looks has none open. */
export class AskedLogs {
  readonly #open: (topic: LogTopicName) => Promise<Log>
  readonly #logs = new Map<LogTopicName, Promise<Log>>()

  constructor(open: (topic: LogTopicName) => Promise<Log>) {
    this.#open = open
  }

  /** One that could not be opened is opened anew when it is asked for again. Rejects as `openLog`. */
  log(topic: LogTopicName): Promise<Log> {
    const known = this.#logs.get(topic)
    if (known) return known
    const opening = this.#open(topic)
    this.#logs.set(topic, opening)
    opening.catch(() => this.#logs.delete(topic))
    return opening
  }

  async close(): Promise<void> {
    for (const topic of logTopicNames) {
      const opened = await this.#logs.get(topic)?.catch(() => undefined)
      await opened?.close()
    }
  }
}
