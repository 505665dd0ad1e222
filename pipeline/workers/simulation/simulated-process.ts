/**
 * A worker's process as the simulation sees it. Whatever the worker does outside itself goes through `call`:
 *
 *   worker ──▶ gate ──▶ effect (log, warehouse) ──▶ gate ──▶ worker
 *              ▲                                    ▲
 *              └── here it may be killed or paused ─┘     a killed process never comes back; a paused one goes on later,
 *                                                         not knowing that time has passed
 */
import type { Endpoint } from '#pipeline/endpoints/endpoint.ts'
import type { TableSink } from '#pipeline/endpoints/table-sink.ts'
import type { Assignment, GroupPosition, Log } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import type { SeededRandom } from '#runtime/seeded-random.ts'
import { isPenstockError, PenstockError } from '#schemas/errors.ts'
import type { DeadLetterBox } from '../undeliverable.ts'
import { lateText } from './simulated-warehouse.ts'

export interface CommitFaults {
  /** Share of commits whose answer is lost, with and without effect. */
  readonly lossShare: number
  /** Stores what the log refused to a stale generation, as a log without a fence would. */
  readonly afterStale?: (partition: number, position: GroupPosition) => void
}

export class SimulatedProcess {
  readonly #clock: Clock
  readonly #random: SeededRandom
  readonly #onGate: () => void
  readonly #wallClockOnly: boolean
  readonly #monotonicStartMs: number
  #state: 'running' | 'paused' | 'dead' = 'running'
  #waiting: (() => void)[] = []
  /** How far the wall clock is from the true time. */
  #wallAheadMs = 0

  /**
   * @param onGate called at every gate; may kill or pause this process, or set its clock
   * @param wallClockOnly the process measures durations with its wall clock: a bug that the simulation must find
   */
  constructor(clock: Clock, random: SeededRandom, onGate: (process: SimulatedProcess) => void, wallClockOnly: boolean) {
    this.#clock = clock
    this.#random = random
    this.#onGate = () => onGate(this)
    this.#wallClockOnly = wallClockOnly
    this.#monotonicStartMs = clock.nowMs() - random.integer(0, 1_000_000)
  }

  get state(): 'running' | 'paused' | 'dead' {
    return this.#state
  }

  kill(): void {
    this.#state = 'dead'
    this.#waiting = []
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    const waiting = this.#waiting
    this.#waiting = []
    for (const go of waiting) go()
  }

  /** Sets the wall clock: it jumps by so much. */
  setClock(byMs: number): void {
    this.#wallAheadMs += byMs
  }

  /** The process's own clock: its timers do not fire while it is paused, and never once it is dead. */
  get clock(): Clock {
    const wallMs = () => this.#clock.nowMs() + this.#wallAheadMs
    return {
      nowMs: wallMs,
      monotonicMs: this.#wallClockOnly ? wallMs : () => this.#clock.nowMs() - this.#monotonicStartMs,
      after: (delayMs, action) => {
        let cancelled = false
        const cancel = this.#clock.after(delayMs, () => this.#whenRunning(() => !cancelled && action()))
        return () => {
          cancelled = true
          cancel()
        }
      },
    }
  }

  /**
   * @param log this process's own, on its own clock: the group hears nothing of it while it is paused
   * @param hasIds false: one log looks like another, as a topic does by its name
   */
  log(log: Log, faults: CommitFaults, hasIds: boolean): Log {
    return {
      topic: log.topic,
      get partitionCount() {
        return log.partitionCount
      },
      id: () => this.#call(async () => (hasIds ? await log.id() : log.topic)),
      append: (partition, stamp, value) => this.#call(() => log.append(partition, stamp, value)),
      join: async (group, onAssigned) => {
        const member = await log.join(group, (assignment) =>
          this.#whenRunning(() => onAssigned(this.#assignment(assignment, faults, hasIds))),
        )
        return { close: () => this.#call(() => member.close()) }
      },
      positions: (group) => this.#call(() => log.positions(group)),
      ranges: () => this.#call(() => log.ranges()),
      read: (partition, offset, bytesMax) => this.#call(() => log.read(partition, offset, bytesMax)),
      retain: (policy) => this.#call(() => log.retain(policy)),
      grow: (partitionCount) => this.#call(() => log.grow(partitionCount)),
      refreshPartitions: () => this.#call(() => log.refreshPartitions()),
      close: () => this.#call(() => log.close()),
    }
  }

  /** @param sink on the true clock: like a real sink's, its time is measured at first and when an insert came too late */
  sink(sink: TableSink): TableSink {
    const aheadMs = () => this.#clock.monotonicMs() - this.clock.monotonicMs()
    let measuredMs = aheadMs()
    return {
      atomic: true,
      name: sink.name,
      insertMsMax: sink.insertMsMax,
      insert: (selected, token, expiresMonotonicMs) =>
        this.#call(() => {
          const inserting = sink.insert(selected, token, expiresMonotonicMs + measuredMs)
          inserting.catch((error: unknown) => {
            if (isPenstockError(error) && error.message.includes(lateText)) measuredMs = aheadMs()
          })
          return inserting
        }),
      stored: (range) => this.#call(() => sink.stored(range)),
      newest: (partition, end, sinceMs) => this.#call(() => sink.newest(partition, end, sinceMs)),
      accepts: () => this.#call(() => sink.accepts()),
      close: () => sink.close(),
    }
  }

  endpoint(endpoint: Endpoint): Endpoint {
    const { name, requestMessagesMax, requestBytesMax, requestsAtOnceMax, requestMsMax } = endpoint
    return {
      atomic: false,
      name,
      requestMessagesMax,
      requestBytesMax,
      requestsAtOnceMax,
      requestMsMax,
      deliver: (request, ended) => this.#call(() => endpoint.deliver(request, ended)),
      accepts: () => this.#call(() => endpoint.accepts()),
      close: () => endpoint.close(),
    }
  }

  deadLetters(box: DeadLetterBox): DeadLetterBox {
    return {
      put: (letter) => this.#call(() => box.put(letter)),
      lettered: (topic, partition, endpoint) => this.#call(() => box.lettered(topic, partition, endpoint)),
    }
  }

  #assignment(inner: Assignment, faults: CommitFaults, hasIds: boolean): Assignment {
    // A paused process hears of a revocation when it goes on, a dead one never.
    const revoked = new AbortController()
    const revoke = () => this.#whenRunning(() => revoked.abort())
    if (inner.revoked.aborted) revoke()
    else inner.revoked.addEventListener('abort', revoke, { once: true })
    return {
      partition: inner.partition,
      generation: inner.generation,
      position: inner.position,
      revoked: revoked.signal,
      read: (offset, bytesMax, waitMs, logId) =>
        this.#call(() => inner.read(offset, bytesMax, waitMs, hasIds ? logId : undefined), 0),
      commit: (position) =>
        this.#call(async () => {
          const lost = this.#random.chance(faults.lossShare)
          if (lost && this.#random.chance(0.5)) throw new PenstockError('LOG_UNAVAILABLE', 'simulated: no effect')
          try {
            await inner.commit(position)
          } catch (error) {
            if (!faults.afterStale || !isPenstockError(error, 'LOG_GENERATION_STALE')) throw error
            faults.afterStale(inner.partition, position)
          }
          if (lost) throw new PenstockError('LOG_UNAVAILABLE', 'simulated: took effect')
        }),
    }
  }

  async #call<T>(effect: () => Promise<T>, latencyMsMax = 20): Promise<T> {
    await this.#gate(latencyMsMax)
    try {
      return await effect()
    } finally {
      await this.#gate(latencyMsMax)
    }
  }

  async #gate(latencyMsMax: number): Promise<void> {
    this.#onGate()
    if (latencyMsMax > 0)
      await new Promise<void>((resolve) => this.#clock.after(this.#random.integer(0, latencyMsMax), resolve))
    await new Promise<void>((resolve) => this.#whenRunning(resolve))
  }

  #whenRunning(action: () => void): void {
    if (this.#state === 'running') action()
    else if (this.#state === 'paused') this.#waiting.push(action)
  }
}
