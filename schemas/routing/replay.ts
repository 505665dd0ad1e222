/**
 * A replay of the log into one endpoint, beside what the endpoint gets anyway: it reads the log from one time to another in consumer groups
 * of its own, and ends by itself.
 */

export interface ReplayDocument {
  /** Names its consumer groups, and so what it stores: no other replay has it. */
  readonly id: string
  readonly endpoint: string
  /** Of the endpoint that was there when it was begun: another one of the name gets nothing of it. */
  readonly generation: number
  /** Of the document of routes then: by an older one it is not judged. */
  readonly revision: number
  readonly begunAtMs: number
  /** It delivers what was enqueued at `fromMs` or later, and before `toMs`; 0 is everything. UTC milliseconds. */
  readonly fromMs: number
  readonly toMs: number
  /** Of what the routes in force send to the endpoint, only what is so; in the language of conditions. */
  readonly where: string
  readonly deviceId: string | undefined
  /** At each router. */
  readonly messagesPerSecondMax: number | undefined
}

/** `done`: all of it is delivered. `gone`: the endpoint is no more. */
export type ReplayOutcome = 'done' | 'cancelled' | 'gone'

export interface KeptReplay {
  readonly replay: ReplayDocument
  /** Undefined while it goes on. */
  readonly ended: { readonly as: ReplayOutcome; readonly atMs: number } | undefined
}

export const replayIdPattern = /^[a-z0-9]{1,32}$/

/** The consumer group of a replay on the log of telemetry. */
export function replayGroup(topicPrefix: string, { id }: Pick<ReplayDocument, 'id'>): string {
  return `${replayGroupPrefix(topicPrefix)}${id}`
}

/** What the groups of all replays begin with, also of those that ended. */
export const replayGroupPrefix = (topicPrefix: string): string => `${topicPrefix}.replay.`
