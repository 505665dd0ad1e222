/**
 * The port of dead letters: what the table or an endpoint refused for good, and what an operator does with it.
 * Faults of all calls: LOG_UNAVAILABLE (retry).
 */

export const letterStates = ['open', 'replaying', 'replayed', 'dropped'] as const

export type LetterState = (typeof letterStates)[number]

/** A letter without its bytes. */
export interface LetterHead {
  /** `partition:offset` on the topic of dead letters. */
  readonly id: string
  readonly state: LetterState
  /** Since when it is in this state. */
  readonly stateAtMs: number
  /** When it was given up. */
  readonly atMs: number
  readonly reason: string
  /** What refused it, in its own words. */
  readonly text: string
  /** Who refused it; `undefined`: the table of its topic. */
  readonly endpoint: string | undefined
  /** Where its batch lay. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Of its batch, the first message, and how many. */
  readonly messageFirst: number
  readonly messageCount: number
  readonly bytes: number
}

export interface LetterMessage {
  readonly deviceId: string
  readonly enqueuedAtMs: number
  readonly body: Uint8Array
  readonly properties: Readonly<Record<string, string>>
  readonly systemProperties: Readonly<Record<string, string>>
}

export interface WholeLetter extends LetterHead {
  /** The first ones; none if they cannot be read. */
  readonly messages: readonly LetterMessage[]
  /** Why they cannot be read. */
  readonly fault: string | undefined
}

export interface DeadLetters {
  /** The oldest first. */
  list(): Promise<readonly LetterHead[]>
  /** @throws DEAD_LETTER_UNKNOWN */
  read(id: string): Promise<WholeLetter>
  /**
   * Delivers it again, to who refused it; interrupted, it is to be called again.
   * @throws DEAD_LETTER_UNKNOWN, DEAD_LETTER_SETTLED (says since when), DEAD_LETTER_REPLAYING, BATCH_CORRUPT, ROUTING_ENDPOINT_UNKNOWN,
   *   ENDPOINT_UNAVAILABLE
   */
  replay(id: string): Promise<void>
  /** Closes it for ever. @throws DEAD_LETTER_UNKNOWN, DEAD_LETTER_SETTLED, DEAD_LETTER_REPLAYING */
  drop(id: string): Promise<void>
}
