/**
 * The port of commands: messages from the cloud to a device, which wait in a queue of the device.
 *
 *   send ─▶ waiting ── take ──▶ locked ── complete ─────────────▶ Success
 *              ▲  │                │  └── reject ───────────────▶ Rejected ──────────────┐
 *              │  └── too old ─────┼──────────────────────────▶ Expired ───────────────┤
 *              │     or purged ────┼──────────────────────────▶ Purged ────────────────┼─▶ dead letter ── resend ─▶ waiting
 *              └── lock over, ─────┘                                                    │
 *                  abandon, release      the last delivery ──▶ DeliveryCountExceeded ──┘
 *
 * Each end leaves a feedback record if the sender asked for one, in the same statement [G-7]. A queue gives its commands in the order in
 * which they were accepted. Moments are the store's own.
 *
 * Faults of all calls: STORE_UNAVAILABLE (retry).
 */
import type { CommandContent, CommandEnd, DeadCommandReason, SettlementKind, TakenCommand } from '#schemas/commands.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

/** A command as its sender gives it. */
export interface SentCommand extends IdentityId, CommandContent {
  /** `undefined`: as long as the settings say. */
  readonly expiresAtMs: number | undefined
}

/** Asks for the next commands of one queue. */
export interface CommandsWanted extends IdentityId {
  readonly countMax: number
  /**
   * For a connection that delivers in order, and is the only one of its device: it also gets what an earlier connection took and did not
   * settle. A lock of a request ends by its time only.
   */
  readonly forSession: boolean
}

/** What a queue gave. */
export interface CommandsTaken extends IdentityId {
  /** In order. */
  readonly commands: readonly TakenCommand[]
  /** More are there, locked ones too. */
  readonly hasMore: boolean
}

export interface Settlement extends IdentityId {
  readonly lockToken: string
  readonly kind: SettlementKind
}

/** What an edge process asks. @throws of an edge process: AUTH_DIRECTORY_UNAVAILABLE (retry) */
export interface CommandQueues {
  /**
   * Locks the next commands of each queue. Of one queue at most `limits.commandsTakenBytesMax` and one command more.
   * @param wanted at most `limits.commandQueuesAtOnceMax`, each queue once
   * @returns an entry for each queue that gave commands
   */
  takeCommands(wanted: readonly CommandsWanted[]): Promise<readonly CommandsTaken[]>
  /**
   * @param settlements at most `limits.commandsSettledAtOnceMax`, each lock once
   * @returns of each whether the lock was still held; if not nothing was done
   */
  settleCommands(settlements: readonly Settlement[]): Promise<readonly boolean[]>
}

/** What became of a command, for its sender. */
export interface FeedbackRecord extends IdentityId {
  readonly messageId: string
  readonly generationId: string
  readonly status: CommandEnd
  readonly atMs: number
}

/** Told of feedback that was not told of before. */
export type OnFeedback = (records: readonly FeedbackRecord[]) => void

/** Records that one receiver has to itself until it settles them, or `limits.feedbackLockMs` are over. */
export interface FeedbackBatch {
  readonly lockToken: string
  readonly records: readonly FeedbackRecord[]
}

/** A command that ended without success. */
export interface DeadCommand extends IdentityId, CommandContent {
  readonly id: number
  readonly reason: DeadCommandReason
  readonly enqueuedAtMs: number
  readonly expiresAtMs: number
  readonly atMs: number
  readonly deliveries: number
}

/** Which dead letters. */
export interface DeadCommandFilter {
  /** `undefined`: of all devices, and of modules too. */
  readonly deviceId: string | undefined
  /** Those of greater ids only. */
  readonly after: number
}

export interface Commands extends CommandQueues {
  /**
   * Accepts a command: it is in the store when this resolves. Commands sent in one turn of the event loop travel together.
   * @throws COMMAND_INVALID, COMMAND_TOO_LARGE, COMMAND_QUEUE_FULL, COMMANDS_FULL (retry), REGISTRY_ID_INVALID, REGISTRY_DEVICE_UNKNOWN,
   *   REGISTRY_MODULE_UNKNOWN
   */
  send(command: SentCommand): Promise<void>
  /** Ends all commands of a queue. @returns how many there were. @throws REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN */
  purge(id: IdentityId): Promise<number>
  /** The oldest records that nobody else has. @returns `undefined`: there are none */
  takeFeedback(countMax: number): Promise<FeedbackBatch | undefined>
  /** @param kind abandoned records go to the next who asks, a few times. @returns false if the lock is over */
  settleFeedback(lockToken: string, kind: 'complete' | 'abandon'): Promise<boolean>
  /** By id, without their bodies. */
  deadCommands(filter: DeadCommandFilter, countMax: number): Promise<readonly Omit<DeadCommand, 'body'>[]>
  /** @throws COMMAND_UNKNOWN */
  deadCommand(id: number): Promise<DeadCommand>
  /** Puts a dead letter behind what waits in its queue, as sent anew. @throws COMMAND_UNKNOWN, and what `send` throws */
  resend(id: number): Promise<void>
  /** Forgets dead letters for good. @throws COMMAND_UNKNOWN of a single one */
  dropDeadCommand(id: number): Promise<void>
  dropDeadCommands(deviceId: string): Promise<number>
  /** Ends what is too old, and forgets what is kept for too long or beyond its number; `limits.commandsSweptAtOnceMax` of each at most. */
  sweep(): Promise<CommandsSwept>
  /** Looks at how much there is, for metrics and for `COMMANDS_FULL`. Cost: one pass over an index of all commands. */
  measure(): Promise<CommandsMeasured>
}

export interface CommandsSwept {
  readonly expired: number
  /** Records that were told of, where somebody listens. */
  readonly feedbackTold: number
  /** Records that no receiver took. */
  readonly feedbackForgotten: number
  readonly deadForgotten: number
}

export interface CommandsMeasured {
  readonly waiting: number
  readonly waitingBytes: number
  readonly dead: number
}

/** What an operator may turn. */
export interface CommandRules {
  readonly lifeMs: number
  readonly deliveriesMax: number
  readonly deadLetterMs: number
  readonly feedbackLifeMs: number
  readonly waitingBytesMax: number
  /** A command whose message id waits already for the same device is accepted, and not kept twice. */
  readonly isDeduplicated: boolean
}
