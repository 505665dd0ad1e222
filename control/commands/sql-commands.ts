import { unknownFault } from '#control/identities/identity.ts'
import type { Database, Queries } from '#control/store/database.ts'
import { isLockToken } from '#control/store/lock-token.ts'
import { forgetRecords, recordsToTell, settleRecords, takeRecords } from '#control/store/locked-records.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import type { Clock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { checkIdentityId, type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import { checkCommand } from './command-content.ts'
import {
  expireCommands,
  messageIdOf,
  moduleText,
  propertiesText,
  purgeCommands,
  type ReadyCommand,
  type Sent,
  sendCommands,
  settleCommands,
  takeCommands,
} from './command-rows.ts'
import { lockQueuesStatement } from './command-sql.ts'
import type {
  CommandRules,
  Commands,
  CommandsMeasured,
  CommandsSwept,
  CommandsTaken,
  CommandsWanted,
  DeadCommand,
  DeadCommandFilter,
  FeedbackBatch,
  OnFeedback,
  SentCommand,
  Settlement,
} from './commands.ts'
import {
  deadCommandRow,
  deadCommandRows,
  deadCommandUnknown,
  dropDeadCommandRows,
  forgetDeadCommands,
} from './dead-command-rows.ts'
import { type FeedbackRow, feedbackBatchOf, feedbackFromRow, feedbackTable } from './feedback-rows.ts'

/** PostgreSQL, Appendix A. */
const foreignKeyViolation = '23503'

/** Commands over the control store, which belongs to the caller. */
export class SqlCommands implements Commands {
  readonly #database: Database
  readonly #clock: Clock
  readonly #rules: CommandRules
  readonly #onFeedback: OnFeedback | undefined
  readonly #sends: CallBatches<ReadyCommand, Sent>
  /** As last measured, with what was accepted here since. */
  #waitingBytes = 0

  /** @param onFeedback told of each record once, by one process of those that have it; left out: nobody is */
  constructor(database: Database, clock: Clock, rules: CommandRules, onFeedback?: OnFeedback) {
    this.#database = database
    this.#clock = clock
    this.#rules = rules
    this.#onFeedback = onFeedback
    this.#sends = new CallBatches({
      run: (commands) => this.#sendAll(commands),
      countMax: limits.commandsSentAtOnceMax,
      sizeOf: ({ body }) => body.length,
      sizeMax: limits.commandsSentAtOnceBytesMax,
    })
  }

  async send(command: SentCommand): Promise<void> {
    checkCommand(command, this.#clock.nowMs())
    if (this.#waitingBytes >= this.#rules.waitingBytesMax || this.#sends.waitingCount >= limits.commandsUnsentMax)
      throw new PenstockError('COMMANDS_FULL', 'too many commands wait at the moment')
    const sent = await this.#sends.call({ ...command, properties: propertiesText(command) })
    checkSent(sent, command)
    this.#waitingBytes += command.body.length
  }

  takeCommands(wanted: readonly CommandsWanted[]): Promise<CommandsTaken[]> {
    return takeCommands(this.#database, wanted, this.#rules.deliveriesMax)
  }

  async settleCommands(settlements: readonly Settlement[]): Promise<boolean[]> {
    // One that is no token would fail the statement for all of them.
    const held = settlements.filter(({ lockToken }) => isLockToken(lockToken))
    const settled = held.length === 0 ? [] : await settleCommands(this.#database, held, this.#rules.deliveriesMax)
    const done = new Set(held.filter((_, index) => settled[index]))
    return settlements.map((settlement) => done.has(settlement))
  }

  async purge(id: IdentityId): Promise<number> {
    checkIdentityId(id)
    const count = await purgeCommands(this.#database, id)
    if (count === undefined) throw unknownFault(id)
    return count
  }

  async takeFeedback(countMax: number): Promise<FeedbackBatch | undefined> {
    return feedbackBatchOf(await takeRecords(this.#database, feedbackTable, countMax, this.#rules.feedbackLifeMs))
  }

  async settleFeedback(lockToken: string, kind: 'complete' | 'abandon'): Promise<boolean> {
    const untold = await settleRecords<FeedbackRow>(this.#database, feedbackTable, lockToken, kind)
    if (untold !== undefined) this.#onFeedback?.(untold.map(feedbackFromRow))
    return untold !== undefined
  }

  deadCommands(filter: DeadCommandFilter, countMax: number): Promise<Omit<DeadCommand, 'body'>[]> {
    return deadCommandRows(this.#database, filter, countMax)
  }

  deadCommand(id: number): Promise<DeadCommand> {
    return deadCommandRow(this.#database, id)
  }

  resend(id: number): Promise<void> {
    return this.#database.transaction(async (queries) => {
      const dead = await deadCommandRow(queries, id, true)
      const ready = { ...dead, expiresAtMs: undefined, properties: propertiesText(withoutExpiry(dead)) }
      const [sent] = await sendCommands(queries, [ready], { ...this.#rules, isDeduplicated: false })
      checkSent(sent, dead)
      await dropDeadCommandRows(queries, { id })
    })
  }

  async dropDeadCommand(id: number): Promise<void> {
    if ((await dropDeadCommandRows(this.#database, { id })) === 0) throw deadCommandUnknown(id)
  }

  dropDeadCommands(deviceId: string): Promise<number> {
    return dropDeadCommandRows(this.#database, { deviceId })
  }

  async sweep(): Promise<CommandsSwept> {
    const countMax = limits.commandsSweptAtOnceMax
    const expired = await expireCommands(this.#database, countMax)
    const feedbackTold = await this.#tellFeedback(countMax)
    const feedbackForgotten = await forgetRecords(this.#database, feedbackTable, {
      lifeMs: this.#rules.feedbackLifeMs,
      countMax,
      toldOnly: this.#onFeedback !== undefined,
    })
    const deadForgotten = await forgetDeadCommands(this.#database, this.#rules.deadLetterMs, countMax)
    return { expired, feedbackTold, feedbackForgotten, deadForgotten }
  }

  async measure(): Promise<CommandsMeasured> {
    const [row] = await this.#database.query<{ waiting: number; bytes: number; dead: number }>(
      `SELECT count(*)::float8 AS waiting, coalesce(sum(bytes), 0)::float8 AS bytes,
         (SELECT count(*)::float8 FROM penstock.dead_commands) AS dead
       FROM penstock.commands`,
    )
    this.#waitingBytes = row?.bytes ?? 0
    return { waiting: row?.waiting ?? 0, waitingBytes: this.#waitingBytes, dead: row?.dead ?? 0 }
  }

  /** @returns how many */
  async #tellFeedback(countMax: number): Promise<number> {
    if (this.#onFeedback === undefined) return 0
    const rows = await recordsToTell<FeedbackRow>(this.#database, feedbackTable, countMax)
    if (rows.length > 0) this.#onFeedback(rows.map(feedbackFromRow))
    return rows.length
  }

  /** Of a message id that is given twice at once, both have the fate of the first. */
  async #sendAll(commands: readonly ReadyCommand[]): Promise<Sent[]> {
    if (!this.#rules.isDeduplicated) return this.#sendBatch(this.#database, commands)
    const firsts = new Map<string, ReadyCommand>()
    for (const [index, command] of commands.entries()) {
      const key = duplicateKey(command, index)
      if (!firsts.has(key)) firsts.set(key, command)
    }
    const sent = await this.#database.transaction(async (queries) => {
      // What another process accepted a moment ago is seen by the statement behind this one only.
      const ids = [...firsts.values()]
      await queries.query(lockQueuesStatement, [ids.map(({ deviceId }) => deviceId), ids.map(moduleText)])
      return this.#sendBatch(queries, ids)
    })
    const fates = new Map([...firsts.keys()].map((key, index) => [key, sent[index]]))
    return commands.map((command, index) => fates.get(duplicateKey(command, index)) ?? 'full')
  }

  /** A device that is deleted while it is sent to fails the statement once: then it is known to be gone. */
  #sendBatch(queries: Queries, commands: readonly ReadyCommand[]): Promise<Sent[]> {
    return sendCommands(queries, commands, this.#rules).catch((error) => {
      if (queries !== this.#database || !isForeignKeyViolation(error)) throw error
      return sendCommands(queries, commands, this.#rules)
    })
  }
}

/** @throws COMMAND_QUEUE_FULL, REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN */
function checkSent(sent: Sent | undefined, id: IdentityId): void {
  if (sent === 'unaddressed') throw unknownFault(id)
  if (sent === 'accepted') return
  const most = limits.commandsWaitingMax
  throw new PenstockError('COMMAND_QUEUE_FULL', `${identityText(id)} has ${most} commands waiting, as many as may`)
}

/** A command without a message id is nobody's duplicate. */
function duplicateKey(command: ReadyCommand, index: number): string {
  const messageId = messageIdOf(command)
  return messageId === '' ? String(index) : `${identityText(command)}/${messageId}`
}

/** The moment that its sender named is over. */
function withoutExpiry(dead: DeadCommand): DeadCommand {
  const systemProperties = new Map(dead.systemProperties)
  systemProperties.delete('exp')
  return { ...dead, systemProperties }
}

function isForeignKeyViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === foreignKeyViolation
}
