/**
 * Devices and edges that are killed at random while commands are sent, and a check of what came of each command [G-7]. The edges are real;
 * a killed one settles nothing any more, and its devices connect to another.
 */
import type { CommandQueues, Commands } from '#control/commands/commands.ts'
import type { Delivery, Outcome } from '#ingest/session/delivery.ts'
import { systemClock } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { metricsTable } from '#schemas/metrics.ts'
import { ListeningDevice } from './commanded-fixture.ts'
import { DeviceCommands } from './device-commands.ts'

/** A text that begins so makes whoever gets it lose its connection. */
export const poison = 'poison'

class MortalEdge {
  readonly commands: DeviceCommands
  isDead = false

  constructor(queues: CommandQueues) {
    const unlessDead = <Answer>(ask: () => Promise<Answer>): Promise<Answer> =>
      this.isDead ? Promise.reject(new Error('this edge was killed')) : ask()
    this.commands = new DeviceCommands({
      queues: {
        // What it asked before its end may still be done in the store, and nobody hears of it.
        takeCommands: (wanted) => unlessDead(() => queues.takeCommands(wanted)),
        settleCommands: (settlements) => unlessDead(() => queues.settleCommands(settlements)),
      },
      clock: systemClock,
      logger: silentLogger,
      metrics: new Metrics(metricsTable),
    })
  }
}

/** What a device saw, over all its connections. */
export interface Witness {
  readonly deviceId: string
  /** Texts in the order in which they came, repetitions too. */
  readonly seen: string[]
  /** Those that it acknowledged. */
  readonly acknowledged: Set<string>
}

export class CommandedFleet {
  readonly witnesses: readonly Witness[]
  readonly #queues: CommandQueues
  readonly #random: SeededRandom
  readonly #edges: MortalEdge[]
  readonly #connections = new Map<string, { device: ListeningDevice; edge: MortalEdge }>()

  constructor(queues: CommandQueues, deviceIds: readonly string[], edgeCount: number, random: SeededRandom) {
    this.#queues = queues
    this.#random = random
    this.#edges = Array.from({ length: edgeCount }, () => new MortalEdge(queues))
    this.witnesses = deviceIds.map((deviceId) => ({ deviceId, seen: [], acknowledged: new Set() }))
    for (const witness of this.witnesses) this.connect(witness)
  }

  /** A connection of the device, at any edge; the one before it ends. */
  connect(witness: Witness): void {
    this.end(witness.deviceId)
    const edge = this.#edges[this.#random.below(this.#edges.length)] as MortalEdge
    const device = new RandomDevice(witness, this.#random, () => this.connect(witness))
    this.#connections.set(witness.deviceId, { device, edge })
    edge.commands.onSubscribed(device, 'commands')
  }

  end(deviceId: string): void {
    const open = this.#connections.get(deviceId)
    this.#connections.delete(deviceId)
    open?.edge.commands.onEnded(open.device)
    open?.device.end()
  }

  killEdge(): void {
    const index = this.#random.below(this.#edges.length)
    const killed = this.#edges[index] as MortalEdge
    killed.isDead = true
    killed.commands.close()
    this.#edges[index] = new MortalEdge(this.#queues)
    for (const witness of this.witnesses)
      if (this.#connections.get(witness.deviceId)?.edge === killed) this.connect(witness)
  }

  tell(deviceId: string): void {
    const open = this.#connections.get(deviceId)
    open?.edge.commands.onNotice(open.device, { kind: 'commands' })
  }

  close(): void {
    for (const { deviceId } of this.witnesses) this.end(deviceId)
    for (const { commands } of this.#edges) commands.close()
  }
}

/** Acknowledges most of what it gets, at once or later; sometimes its connection ends instead, before or behind what it saw. */
class RandomDevice extends ListeningDevice {
  readonly #witness: Witness
  readonly #random: SeededRandom
  readonly #reconnect: () => void

  constructor(witness: Witness, random: SeededRandom, reconnect: () => void) {
    super({ deviceId: witness.deviceId, moduleId: undefined })
    this.#witness = witness
    this.#random = random
    this.#reconnect = reconnect
  }

  override send(delivery: Delivery): Promise<Outcome> {
    const outcome = super.send(delivery)
    const text = Buffer.from(delivery.body).toString()
    if (this.deliveries.at(-1) !== delivery) return outcome
    this.#witness.seen.push(text)
    setImmediate(() => {
      if (text.startsWith(poison) || this.#random.chance(0.05)) this.#reconnect()
      else if (this.answer('acknowledged')) this.#witness.acknowledged.add(text)
    })
    return outcome
  }
}

/** How commands ended, by `device message`: as feedback has it, and as dead letters. */
export interface KnownEnds {
  readonly feedback: ReadonlyMap<string, string>
  readonly dead: ReadonlySet<string>
}

/** By the store itself. @param wrong takes what ended more than once */
export async function endsOf(commands: Commands, deviceIds: readonly string[], wrong: string[]): Promise<KnownEnds> {
  const feedback = new Map<string, string>()
  const dead = new Set<string>()
  for (let batch = await commands.takeFeedback(64); batch; batch = await commands.takeFeedback(64)) {
    for (const { deviceId, messageId, status } of batch.records) {
      const key = `${deviceId} ${messageId}`
      if (feedback.has(key)) wrong.push(`${key} ended twice`)
      feedback.set(key, status)
    }
    await commands.settleFeedback(batch.lockToken, 'complete')
  }
  for (const deviceId of deviceIds)
    for (let after = 0, isLast = false; !isLast; ) {
      const page = await commands.deadCommands({ deviceId, after }, 100)
      for (const { systemProperties } of page) dead.add(`${deviceId} ${systemProperties.get('mid')}`)
      after = page.at(-1)?.id ?? 0
      isLast = page.length < 100
    }
  return { feedback, dead }
}

/**
 * Each command has ended; what ended as a success was acknowledged, all else is a dead letter; and each was first seen behind those that
 * were sent before it.
 * @param uncertain keys of commands whose sender was not answered: they may not have been accepted
 */
export function whatIsWrong(
  witnesses: readonly Witness[],
  sent: ReadonlyMap<string, readonly string[]>,
  { feedback, dead }: KnownEnds,
  uncertain: ReadonlySet<string> = new Set(),
): string[] {
  const wrong: string[] = []
  for (const { deviceId, seen, acknowledged } of witnesses) {
    const texts = sent.get(deviceId) ?? []
    for (const text of texts) {
      const key = `${deviceId} ${text}`
      const end = feedback.get(key)
      if (end === undefined) {
        if (!uncertain.has(key) || seen.includes(text)) wrong.push(`${key} has no end`)
        continue
      }
      if (end === 'Success' && !acknowledged.has(text)) wrong.push(`${key} was never acknowledged`)
      if ((end !== 'Success') !== dead.has(key)) wrong.push(`${key} ended as ${end}, dead: ${dead.has(key)}`)
    }
    // What nobody answered may have been accepted behind what was sent after it, and is delivered in that order.
    const certain = [...new Set(seen)].filter((text) => !uncertain.has(`${deviceId} ${text}`))
    const firsts = certain.map((text) => texts.indexOf(text))
    for (const [index, place] of firsts.entries())
      if (place < (firsts[index - 1] ?? -1)) wrong.push(`${deviceId} saw ${texts[place]} out of its order`)
  }
  return wrong
}
