/**
 * Commands at the edge: it takes them from the queues of control, gives them to the devices, and settles what became of them [G-7].
 *
 *   the device listens, control tells, a look every `commandsLookMs`
 *      │
 *      ▼
 *   idle ─▶ taking: the next commands of its queue, locked ─▶ delivering, in order ─▶ all settled ─▶ more there? taking again : idle
 *
 * A device has one window: what is taken is a beginning of its queue, and nothing more is taken until all of it is settled in the store. So
 * order is kept, whatever is acknowledged when. A command that comes again is sent alone: if it is the one that makes devices lose their
 * connection, no other is counted with it.
 *
 * What a process holds is bounded: windows wait for room in `commandsHeldBytesMax`. While any does, a session that has had commands for as long as
 * a lock lasts, and settled none of them in that time, ends: what it had comes again, and is counted.
 */
import type { CommandQueues, CommandsTaken, CommandsWanted, Settlement } from '#control/commands/commands.ts'
import type { Capability } from '#ingest/session/capabilities.ts'
import type { CommandDelivery, Feed, Outcome } from '#ingest/session/delivery.ts'
import type { Session } from '#ingest/session/session.ts'
import { assert } from '#runtime/assert.ts'
import { CallBatches } from '#runtime/call-batches.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { Counter, Metrics } from '#runtime/metrics.ts'
import { ackProperty, commandSystemProperties, type SettlementKind, type TakenCommand } from '#schemas/commands.ts'
import type { Notice } from '#schemas/downlink.ts'
import { PenstockError } from '#schemas/errors.ts'
import { ownerPath } from '#schemas/hub-topics.ts'
import { type IdentityId, identityText } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { MetricName } from '#schemas/metrics.ts'

export interface DeviceCommandsOptions {
  readonly queues: CommandQueues
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics<MetricName>
}

/** After a fault of the store, and where a device does not read. */
const retryMs = 1_000
/** A settlement that the store does not take for so long is given up: its lock is over, and the command comes again. */
const settleMsMax = limits.commandLockMs

const settlementOf: Readonly<Record<Outcome, SettlementKind>> = {
  acknowledged: 'complete',
  sent: 'complete',
  rejected: 'reject',
  // It could never be delivered to this client; as a dead letter somebody can see why.
  tooLarge: 'reject',
  abandoned: 'abandon',
  lost: 'abandon',
  notSubscribed: 'release',
  full: 'release',
  gone: 'release',
}

/** A session that listens. */
interface Window {
  readonly session: Session
  readonly id: IdentityId
  /** It takes, delivers or waits to be tried again. */
  isBusy: boolean
  /** Something came while it was. */
  again: boolean
  isOpen: boolean
  /** Commands that are with the device. */
  unsettled: number
  /** Since when it settled none of them, by the monotonic clock. */
  stillSinceMs: number
}

export class DeviceCommands implements Capability {
  readonly #options: DeviceCommandsOptions
  readonly #windows = new Map<Session, Window>()
  readonly #takes: CallBatches<CommandsWanted, CommandsTaken | undefined>
  readonly #settlements: CallBatches<Settlement, boolean>
  readonly #held: Counter
  #heldBytes = 0
  /** Windows with commands that are with their device, also of a session that listens no more. */
  readonly #holding = new Set<Window>()
  /** Windows that wait for room, in order. */
  readonly #roomless = new Set<Window>()
  readonly #cancels = new Set<() => void>()
  readonly #unsettled = new Set<Promise<Outcome>>()
  #isClosed = false

  constructor(options: DeviceCommandsOptions) {
    const { queues, clock, metrics } = options
    this.#options = options
    this.#held = metrics.series('penstock_edge_commands_held_bytes')
    this.#takes = new CallBatches({
      run: (wanted) => takeEachQueueOnce(queues, wanted),
      countMax: limits.commandQueuesAtOnceMax,
    })
    this.#settlements = new CallBatches({
      run: (settlements) => queues.settleCommands(settlements),
      countMax: limits.commandsSettledAtOnceMax,
      delay: { ms: limits.commandSettleDelayMs, after: (delayMs, action) => clock.after(delayMs, action) },
    })
    this.#lookRegularly()
  }

  onSubscribed(session: Session, feed: Feed): void {
    if (feed !== 'commands' || session.deviceId === undefined) return
    const { deviceId, moduleId } = session
    const known = this.#windows.get(session)
    const idle = { isBusy: false, again: false, isOpen: true, unsettled: 0, stillSinceMs: 0 }
    const window = known ?? { session, id: { deviceId, moduleId }, ...idle }
    this.#windows.set(session, window)
    this.#look(window)
  }

  onUnsubscribed(session: Session, feed: Feed): void {
    if (feed === 'commands') this.onEnded(session)
  }

  onEnded(session: Session): void {
    const window = this.#windows.get(session)
    if (window === undefined) return
    window.isOpen = false
    this.#windows.delete(session)
    this.#roomless.delete(window)
  }

  onNotice(session: Session, notice: Notice): void {
    const window = notice.kind === 'commands' ? this.#windows.get(session) : undefined
    if (window !== undefined) this.#look(window)
  }

  /** The next command of a queue, for a request. @throws AUTH_DIRECTORY_UNAVAILABLE (retry) */
  async take(id: IdentityId): Promise<TakenCommand | undefined> {
    const taken = await this.#takes.call({ ...id, countMax: 1, forSession: false })
    const command = taken?.commands[0]
    if (command !== undefined) this.#countDelivered('http')
    return command
  }

  /** @returns false if the lock is over. @throws AUTH_DIRECTORY_UNAVAILABLE (retry) */
  async settle(settlement: Settlement): Promise<boolean> {
    const isSettled = await this.#settlements.call(settlement)
    this.#countSettled(isSettled ? settlement.kind : 'late')
    return isSettled
  }

  /** Once all connections have ended: takes nothing more, and resolves when what became of the last commands is settled, or cannot be. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const cancel of this.#cancels) cancel()
    await Promise.all(this.#unsettled)
  }

  #look(window: Window): void {
    if (window.isBusy) {
      window.again = true
      return
    }
    if (!window.isOpen || this.#isClosed) return
    window.isBusy = true
    window.again = false
    if (this.#heldBytes >= limits.commandsHeldBytesMax) this.#roomless.add(window)
    else void this.#serve(window)
  }

  /** Never rejects. */
  async #serve(window: Window): Promise<void> {
    assert(window.unsettled === 0, 'nothing more is taken while a command of the window is with its device [G-7]')
    let pauseMs = 0
    try {
      const taken = await this.#takes.call({ ...window.id, countMax: limits.commandsInFlightMax, forSession: true })
      if (taken !== undefined) {
        const isReading = await this.#deliver(window, taken.commands)
        if (!isReading) pauseMs = retryMs
        else if (taken.hasMore) window.again = true
      }
    } catch (error) {
      this.#options.logger.warn('commands could not be taken from their queue; trying again', { error })
      pauseMs = retryMs
    }
    if (pauseMs > 0) {
      window.again = true
      await this.#pause(pauseMs)
    }
    window.isBusy = false
    if (window.again) this.#look(window)
  }

  /** Resolves when all is settled in the store. @returns false if the device takes no more at present */
  async #deliver(window: Window, commands: readonly TakenCommand[]): Promise<boolean> {
    const settled: Promise<Outcome>[] = []
    for (const command of commands) {
      const outcome = this.#send(window, command)
      settled.push(this.#whenKnown(command, outcome))
      if (command.deliveries > 0) await outcome
    }
    return !(await Promise.all(settled)).includes('full')
  }

  async #send(window: Window, command: TakenCommand): Promise<Outcome> {
    this.#hold(command.body.length)
    if (!window.isOpen) return 'gone'
    const { session } = window
    const { clock } = this.#options
    this.#countDelivered(session.carrier.protocol)
    if (window.unsettled++ === 0) window.stillSinceMs = clock.monotonicMs()
    this.#holding.add(window)
    const outcome = await session.send(deliveryOf(command))
    if (--window.unsettled === 0) this.#holding.delete(window)
    window.stillSinceMs = clock.monotonicMs()
    return outcome
  }

  #whenKnown(command: TakenCommand, outcome: Promise<Outcome>): Promise<Outcome> {
    const settled = outcome.then((known) => this.#settled(command, known))
    this.#unsettled.add(settled)
    return settled.finally(() => this.#unsettled.delete(settled))
  }

  async #settled(command: TakenCommand, outcome: Outcome): Promise<Outcome> {
    this.#hold(-command.body.length)
    const { clock, logger } = this.#options
    const { deviceId, moduleId, lockToken } = command
    const untilMs = clock.monotonicMs() + settleMsMax
    while (true) {
      try {
        await this.settle({ deviceId, moduleId, lockToken, kind: settlementOf[outcome] })
        return outcome
      } catch (error) {
        if (this.#isClosed || clock.monotonicMs() >= untilMs) return outcome
        logger.debug('a command could not be settled; trying again', { error })
        await this.#pause(retryMs)
      }
    }
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes
    assert(this.#heldBytes >= 0, 'no more bytes of commands are let go of than were held')
    this.#held.set(this.#heldBytes)
    if (this.#heldBytes >= limits.commandsHeldBytesMax) return
    const [next] = this.#roomless
    if (next === undefined) return
    this.#roomless.delete(next)
    void this.#serve(next)
  }

  /** Notices may be lost; nothing waits for ever because of one. */
  #lookRegularly(): void {
    void this.#pause(limits.commandsLookMs).then(() => {
      if (this.#isClosed) return
      this.#makeRoom()
      for (const window of this.#windows.values()) this.#look(window)
      this.#lookRegularly()
    })
  }

  #makeRoom(): void {
    if (this.#roomless.size === 0) return
    const stillBeforeMs = this.#options.clock.monotonicMs() - limits.commandLockMs
    for (const { session, stillSinceMs } of [...this.#holding])
      if (stillSinceMs <= stillBeforeMs)
        session.carrier.fail(
          new PenstockError('INGEST_COMMANDS_HELD', 'commands were not settled while other devices wait for theirs'),
        )
  }

  /** Ends early when this is closed. */
  #pause(delayMs: number): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        this.#cancels.delete(end)
        resolve()
      }
      const cancel = this.#options.clock.after(delayMs, end)
      this.#cancels.add(end)
    })
  }

  #countDelivered(protocol: 'mqtt' | 'amqp' | 'http'): void {
    this.#options.metrics.series('penstock_edge_commands_delivered_total', { protocol }).add(1)
  }

  #countSettled(outcome: SettlementKind | 'late'): void {
    this.#options.metrics.series('penstock_edge_commands_settled_total', { outcome }).add(1)
  }
}

/** A statement takes from each queue once; a device may ask over two protocols at the same time. */
async function takeEachQueueOnce(
  queues: CommandQueues,
  wanted: readonly CommandsWanted[],
): Promise<(CommandsTaken | undefined)[]> {
  const answers: (CommandsTaken | undefined)[] = wanted.map(() => undefined)
  let left = [...wanted.entries()]
  while (left.length > 0) {
    const asked = new Map<string, readonly [number, CommandsWanted]>()
    const repeated: typeof left = []
    for (const entry of left) {
      const key = identityText(entry[1])
      if (asked.has(key)) repeated.push(entry)
      else asked.set(key, entry)
    }
    const taken = await queues.takeCommands([...asked.values()].map(([, one]) => one))
    for (const queue of taken) {
      const entry = asked.get(identityText(queue))
      assert(entry !== undefined, 'only queues that were asked for give commands: those of others would stay locked')
      const [index, { countMax }] = entry
      assert(
        answers[index] === undefined,
        'a queue gives its commands at once: those of its first answer would stay locked',
      )
      assertWindow(queue, countMax)
      answers[index] = queue
    }
    left = repeated
  }
  return answers
}

/** A window is a beginning of its queue, in order [G-7]. */
function assertWindow(queue: CommandsTaken, countMax: number): void {
  const { commands } = queue
  assert(commands.length <= countMax, `a queue gives ${countMax} commands at most, and not ${commands.length}`)
  const locks = new Set(commands.map(({ lockToken }) => lockToken))
  assert(locks.size === commands.length, 'each command has a lock of its own: one would settle the other [G-7]')
  let before = Number.NEGATIVE_INFINITY
  for (const command of commands) {
    const { sequenceNumber } = command
    assert(identityText(command) === identityText(queue), 'a queue gives the commands of its own device [G-6]')
    assert(sequenceNumber > before, `a queue gives its commands in order, and not ${sequenceNumber} behind ${before}`)
    before = sequenceNumber
  }
}

/** What its sender said of it, and the hub: as the property bag has it. */
export function deliveredProperties(command: TakenCommand): Map<string, string> {
  const properties = new Map<string, string>()
  for (const key of Object.keys(commandSystemProperties)) {
    const value = key === 'to' ? commandAddress(command) : command.systemProperties.get(key)
    if (value !== undefined) properties.set(key, value)
  }
  return properties
}

function commandAddress({ deviceId, moduleId }: IdentityId): string {
  return `/${ownerPath(deviceId, moduleId)}/messages/devicebound`
}

function deliveryOf(command: TakenCommand): CommandDelivery {
  const { ack, applicationProperties, body, deliveries } = command
  return {
    feed: 'commands',
    systemProperties: deliveredProperties(command),
    applicationProperties:
      ack === 'none' ? applicationProperties : new Map([[ackProperty, ack], ...applicationProperties]),
    body,
    isRepeated: deliveries > 0,
  }
}
