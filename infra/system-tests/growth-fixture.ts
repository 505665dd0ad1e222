/** Edges, devices and readers around one log that grows, on a virtual clock: a model of an installation whose every wait is chance. */
import type { BatchOwner, OpenBatch } from '#ingest/batches/batch.ts'
import { Batcher } from '#ingest/batches/batcher.ts'
import { followGrowth } from '#ingest/batches/follow-growth.ts'
import { type Route, routeOfReading } from '#ingest/batches/route.ts'
import { DeviceSpread } from '#pipeline/log/growth/device-spread.ts'
import { untilEarlierDelivered } from '#pipeline/log/growth/earlier-delivered.ts'
import { growPartitions } from '#pipeline/log/growth/grow-partitions.ts'
import type { Assignment, GroupMember, Log } from '#pipeline/log/log.ts'
import { MemoryLog, MemoryStore } from '#pipeline/log/memory/memory-log.ts'
import { type Clock, sleep } from '#runtime/clock.ts'
import { silentLogger } from '#runtime/logger.ts'
import { Metrics } from '#runtime/metrics.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { type VirtualClock, virtualClock } from '#runtime/virtual-clock.ts'
import { messagesOfBatch } from '#schemas/batch.ts'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import { type MetricName, metricsTable } from '#schemas/metrics.ts'

/** Of the time of a world. */
const workMsMax = 600_000
export const stuckText = 'what was sent does not come'

/** What of the protocol is left out, for a test that the others find it. */
export type LeftOut = 'gate' | 'hold'

export class GrowthWorld {
  readonly clock: VirtualClock = virtualClock(1_700_000_000_000)
  readonly random: SeededRandom
  readonly leftOut: LeftOut | undefined
  readonly telemetry = new MemoryStore('penstock.telemetry', 2)
  readonly journal = new MemoryStore('penstock.partitions', 1)
  readonly edges: WorldEdge[] = []
  readonly #closing: (() => Promise<void>)[] = []

  constructor(random: SeededRandom, leftOut?: LeftOut) {
    this.random = random
    this.leftOut = leftOut
  }

  /** The log as one process has it. @param delayMsMax of its appends, now and then far longer */
  log(delayMsMax = 0): MemoryLog {
    const delay = async (): Promise<void> => {
      if (delayMsMax === 0) return
      const ms = this.random.chance(0.005) ? this.random.below(5_000) : this.random.below(delayMsMax)
      await sleep(this.clock, ms)
    }
    return new MemoryLog({ store: this.telemetry, clock: this.clock, beforeAppend: delay })
  }

  async spread(log: Log, by: string): Promise<DeviceSpread> {
    const journal = new MemoryLog({ store: this.journal, clock: this.clock })
    const spread = await DeviceSpread.open({ log, journal, clock: this.clock, logger: silentLogger }, by)
    this.#closing.push(() => spread.close())
    return spread
  }

  async addEdge(): Promise<void> {
    this.edges.push(await WorldEdge.start(this, `edge-${this.edges.length}`))
  }

  async addReader(group: string, delivered: string[]): Promise<void> {
    const log = this.log()
    const spread = await this.spread(log, group)
    spread.watch()
    const member = await readGroup({ world: this, log, spread, group, delivered })
    this.#closing.push(() => member.close())
  }

  /**
   * @param livesFor steps of its command, after which nothing of it happens any more
   * @returns whether it came to its end
   */
  async grow(to: number, livesFor: number): Promise<boolean> {
    const mortal = new Mortal(livesFor)
    const whole = { log: this.log(), spread: await this.spread(this.log(), 'grow') }
    const { log, spread } = { log: mortal.wrap(whole.log), spread: mortal.wrap(whole.spread) }
    // Its looks take their time: of a hold that a dead command left, time has to pass.
    const after: Clock['after'] = (ms, action) => this.clock.after(ms === limits.growthHoldMs ? 0 : ms, action)
    const clock: Clock = this.leftOut === 'hold' ? { ...this.clock, after } : this.clock
    const grown = growPartitions({ log, spread, to, partitionsMax: 64, clock })
    const hasGrown = grown.then(
      () => true,
      (error: unknown) => {
        if (!isPenstockError(error)) throw error
        return error.message.includes('already')
      },
    )
    return await Promise.race([hasGrown, mortal.death])
  }

  async close(): Promise<void> {
    for (const edge of this.edges) edge.kill()
    await this.whileStepping(Promise.all(this.#closing.map((close) => close())))
  }

  /** Lets time pass until `work` is done. @throws if that takes longer than anything here may */
  async whileStepping<T>(work: Promise<T>): Promise<T> {
    const untilMs = this.clock.nowMs() + workMsMax
    let isDone = false
    const done = work.finally(() => {
      isDone = true
    })
    done.catch(() => {})
    while (!isDone) {
      await this.settle()
      this.clock.step()
      if (this.clock.nowMs() > untilMs) throw new Error(stuckText)
    }
    return await done
  }

  /** Until nothing goes on without the clock; blocks are compressed on threads, which take true time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate)
    while (this.edges.some((edge) => edge.compresses)) await new Promise(setImmediate)
  }
}

/** Something of a process whose calls end with it. */
class Mortal {
  readonly death: Promise<false>
  #die = (_: false): void => {}
  #left: number

  constructor(livesFor: number) {
    this.#left = livesFor
    this.death = new Promise((resolve) => {
      this.#die = resolve
    })
  }

  wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) => {
          if (this.#left-- > 0) return Reflect.apply(value, target, args)
          this.#die(false)
          return new Promise(() => {})
        }
      },
    })
  }
}

/** An edge process: a batcher, and connections that send what they are given when they are read. */
export class WorldEdge {
  readonly batcher: Batcher
  readonly #unfollow: () => void
  readonly #waiting: (() => void)[] = []
  /** Of closed batches whose blocks are not compressed yet. */
  #compressing = 0
  isAlive = true
  #die: (isAcknowledged: false) => void = () => {}
  readonly #death = new Promise<false>((resolve) => {
    this.#die = resolve
  })

  private constructor(world: GrowthWorld, log: Log, spread: DeviceSpread, edgeId: string) {
    const { clock } = world
    this.batcher = new Batcher({
      log,
      spread,
      edgeId,
      epoch: clock.nowMs(),
      clock,
      logger: silentLogger,
      metrics: new Metrics<MetricName>(metricsTable),
      batchDelayMs: 20,
      pendingBytesMax: 1e9,
      onFull: (full) => {
        if (!full) for (const send of this.#waiting.splice(0)) send()
      },
    })
    const { compressor } = this.batcher
    const compress = compressor.compress.bind(compressor)
    compressor.compress = (bytes, onCompressed) => {
      this.#compressing++
      compress(bytes, (compressed) => {
        this.#compressing--
        if (this.isAlive) onCompressed(compressed)
      })
    }
    this.#unfollow = followGrowth({ batcher: this.batcher, spread, clock, logger: silentLogger })
  }

  static async start(world: GrowthWorld, edgeId: string): Promise<WorldEdge> {
    const log = world.log(60)
    const spread = await world.spread(log, edgeId)
    spread.watch()
    return new WorldEdge(world, log, spread, edgeId)
  }

  get compresses(): boolean {
    return this.#compressing > 0
  }

  /** What it has not appended is gone, and nobody hears of what it has. */
  kill(): void {
    this.isAlive = false
    this.#die(false)
    this.#unfollow()
  }

  /** Whether it was acknowledged; a socket that is not read keeps it. */
  async send(route: Route, body: string): Promise<boolean> {
    if (this.batcher.full)
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), this.#death])
    if (!this.isAlive) return false
    const answer = new Promise<boolean>((resolve) => {
      this.batcher.tick()
      const bytes = Buffer.from(body)
      route.partition.write(
        route.frame,
        bytes,
        0,
        bytes.length,
        ownerOf((durable) => resolve(durable && this.isAlive)),
      )
    })
    return await Promise.race([answer, this.#death])
  }
}

function ownerOf(settle: (durable: boolean) => void): BatchOwner {
  return {
    sentOver: 'mqtt',
    batch: undefined as OpenBatch | undefined,
    batchIndex: 0,
    settled: () => settle(true),
    refused: () => settle(false),
  }
}

/**
 * Sends its numbers one after the other, each once the one before is acknowledged, and connects elsewhere now and then.
 * @returns how many
 */
export async function runDevice(world: GrowthWorld, deviceId: string, goesOn: () => boolean): Promise<number> {
  const { random, clock } = world
  let edge: WorldEdge | undefined
  let route: Route | undefined
  let number = 0
  while (goesOn()) {
    const living = world.edges.filter(({ isAlive }) => isAlive)
    if (edge === undefined || route === undefined || !edge.isAlive || random.chance(0.2)) {
      edge = living[random.below(living.length)] as WorldEdge
      route = routeOfReading(edge.batcher, { deviceId, properties: new Map(), systemProperties: new Map() })
    }
    if (await edge.send(route, String(number))) number++
    else edge = undefined
    await sleep(clock, random.below(200))
  }
  return number
}

interface Reader {
  readonly world: GrowthWorld
  readonly log: Log
  readonly spread: DeviceSpread
  readonly group: string
  /** `device number`, in the order of delivery. */
  readonly delivered: string[]
}

function readGroup(reader: Reader): Promise<GroupMember> {
  const { log, group } = reader
  return log.join(group, (assignment) => {
    deliver(reader, assignment).catch((error: unknown) => {
      if (!isPenstockError(error)) throw error
    })
  })
}

async function deliver({ world, log, spread, group, delivered }: Reader, assignment: Assignment): Promise<void> {
  const { clock, random } = world
  const { partition, revoked: ended } = assignment
  if (world.leftOut !== 'gate') await untilEarlierDelivered({ log, spread, group, partition, clock, ended })
  let offset = assignment.position?.offset ?? 0
  while (!ended.aborted) {
    const [record] = await assignment.read(offset, 1, 500)
    if (record === undefined) continue
    // Those that there were first are behind.
    await sleep(clock, random.below(partition < 2 ? 400 : 30))
    if (ended.aborted) return
    for (const { envelope } of messagesOfBatch(record.value))
      delivered.push(`${envelope.deviceId} ${Buffer.from(envelope.body).toString()}`)
    await assignment.commit({ offset: ++offset, metadata: '' })
  }
}
