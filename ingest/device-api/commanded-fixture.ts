/** Queues of commands in memory, and devices that listen to them, for tests. */
import type { CommandQueues, CommandsTaken, CommandsWanted, Settlement } from '#control/commands/commands.ts'
import type { Delivery, Feed, Outcome } from '#ingest/session/delivery.ts'
import type { Carrier, Session } from '#ingest/session/session.ts'
import type { TakenCommand } from '#schemas/commands.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'

let numberLast = 0

/** A command as a queue gives it: behind those that were made before. */
export function takenCommand(deviceId: string, text: string, changes: Partial<TakenCommand> = {}): TakenCommand {
  return {
    deviceId,
    moduleId: undefined,
    lockToken: `lock-${text}`,
    sequenceNumber: ++numberLast,
    systemProperties: new Map([['mid', text]]),
    applicationProperties: new Map(),
    body: Buffer.from(text),
    ack: 'none',
    enqueuedAtMs: 0,
    expiresAtMs: 0,
    deliveries: 0,
    ...changes,
  }
}

/** Gives what waits, in order; what is taken stays away until it is given back. */
export class MemoryQueues implements CommandQueues {
  readonly #waiting = new Map<string, TakenCommand[]>()
  readonly taken: (readonly CommandsWanted[])[] = []
  readonly settled: Settlement[] = []
  isFailing = false
  /** Locks that are over. */
  readonly lost = new Set<string>()

  add(...commands: readonly TakenCommand[]): void {
    for (const command of commands) {
      const key = identityText(command)
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), command])
    }
  }

  async takeCommands(wanted: readonly CommandsWanted[]): Promise<CommandsTaken[]> {
    this.taken.push(wanted)
    if (this.isFailing) throw new Error('the store is away')
    return wanted.flatMap((one) => {
      const queue = this.#waiting.get(identityText(one)) ?? []
      const commands = queue.splice(0, one.countMax)
      if (commands.length === 0) return []
      return [{ deviceId: one.deviceId, moduleId: one.moduleId, commands, hasMore: queue.length > 0 }]
    })
  }

  async settleCommands(settlements: readonly Settlement[]): Promise<boolean[]> {
    if (this.isFailing) throw new Error('the store is away')
    this.settled.push(...settlements)
    return settlements.map(({ lockToken }) => !this.lost.has(lockToken))
  }

  get settledKinds(): string[] {
    return this.settled.map(({ lockToken, kind }) => `${kind} ${lockToken.replace('lock-', '')}`)
  }
}

/** A device that listens, and says what becomes of each delivery when it is told to. */
export class ListeningDevice implements Session {
  readonly deviceId: string
  readonly moduleId: string | undefined
  readonly openedAtMs = 0
  readonly carrier: Carrier = {
    protocol: 'mqtt',
    silentMs: 0,
    fail: ({ code }) => {
      this.endedFor = code
      this.end()
    },
    send: async () => 'gone',
  }
  endedFor: string | undefined
  readonly deliveries: Delivery[] = []
  readonly #answers: ((outcome: Outcome) => void)[] = []
  /** Said at once of each delivery; left out: it waits for `answer`. */
  atOnce: Outcome | undefined
  #isEnded = false

  constructor({ deviceId, moduleId }: IdentityId, atOnce?: Outcome) {
    this.deviceId = deviceId
    this.moduleId = moduleId
    this.atOnce = atOnce
  }

  listensTo(feed: Feed): boolean {
    return feed === 'commands'
  }

  takenOver(): void {}

  send(delivery: Delivery): Promise<Outcome> {
    if (this.#isEnded) return Promise.resolve('gone')
    this.deliveries.push(delivery)
    if (this.atOnce !== undefined) return Promise.resolve(this.atOnce)
    return new Promise((resolve) => this.#answers.push(resolve))
  }

  /** Of the oldest delivery that waits. @returns false if none does */
  answer(outcome: Outcome): boolean {
    const answer = this.#answers.shift()
    answer?.(outcome)
    return answer !== undefined
  }

  /** Its connection ends. */
  end(): void {
    this.#isEnded = true
    for (const answer of this.#answers.splice(0)) answer('lost')
  }

  get texts(): string[] {
    return this.deliveries.map(({ body }) => Buffer.from(body).toString())
  }
}
