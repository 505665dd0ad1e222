import type { Assignment, BatchStamp, GroupMember, GroupPosition, Log, LogRecord } from '#pipeline/log/log.ts'
import type { Clock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'

interface Member {
  readonly onAssigned: (assignment: Assignment) => void
  revoke: AbortController
}

/**
 * A log on a virtual clock with one group: its members share the partitions, each join or leave raises the generation,
 * and a commit is accepted from the current generation only.
 */
export class SimulatedLog implements Log {
  readonly topic = 'simulated'
  readonly partitionCount: number
  readonly #clock: Clock
  readonly #partitions: LogRecord[][]
  readonly #positions: (GroupPosition | undefined)[]
  readonly #members = new Set<Member>()
  readonly #fences: boolean
  #generation = 0
  #arrivals = new Set<() => void>()

  /** @param fences false: commits of older generations are taken, which no adapter may do */
  constructor(clock: Clock, partitionCount: number, fences: boolean) {
    this.#clock = clock
    this.#fences = fences
    this.partitionCount = partitionCount
    this.#partitions = Array.from({ length: partitionCount }, () => [])
    this.#positions = Array.from({ length: partitionCount }, () => undefined)
  }

  async append(partition: number, stamp: BatchStamp, value: Uint8Array): Promise<number> {
    const records = this.#partitionOf(partition)
    records.push({ offset: records.length, stamp, value })
    for (const wake of this.#arrivals) wake()
    return records.length - 1
  }

  async join(_group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    const member: Member = { onAssigned, revoke: new AbortController() }
    this.#members.add(member)
    this.#rebalance()
    return {
      close: async () => {
        if (this.#members.delete(member)) {
          member.revoke.abort()
          this.#rebalance()
        }
      },
    }
  }

  async positions(): Promise<readonly (GroupPosition | undefined)[]> {
    return [...this.#positions]
  }

  async ranges() {
    return this.#partitions.map(({ length }) => ({ first: 0, next: length }))
  }

  async read(partition: number, offset: number): Promise<LogRecord[]> {
    return this.#partitionOf(partition).slice(offset)
  }

  async retain() {
    return { removedRecords: 0, lostRecords: 0 }
  }

  async close(): Promise<void> {}

  #rebalance(): void {
    this.#generation++
    for (const member of this.#members) {
      member.revoke.abort()
      member.revoke = new AbortController()
    }
    const members = [...this.#members]
    for (let partition = 0; partition < this.partitionCount; partition++) {
      // Turns with the generation, so that a rebalance moves partitions.
      const member = members[(partition + this.#generation) % members.length]
      if (member) member.onAssigned(this.#assignment(partition, member.revoke.signal))
    }
  }

  #assignment(partition: number, revoked: AbortSignal): Assignment {
    const generation = this.#generation
    const assertCurrent = () => {
      if (generation !== this.#generation) throw new PenstockError('LOG_GENERATION_STALE', 'simulated')
    }
    return {
      partition,
      generation,
      position: this.#positions[partition],
      revoked,
      read: async (offset, _bytesMax, waitMs) => {
        assertCurrent()
        if (this.#partitionOf(partition).length <= offset) await this.#arrival(waitMs)
        assertCurrent()
        return this.#partitionOf(partition).slice(offset)
      },
      commit: async (position) => {
        if (this.#fences) assertCurrent()
        this.#positions[partition] = position
      },
    }
  }

  #arrival(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        cancel()
        this.#arrivals.delete(end)
        resolve()
      }
      const cancel = this.#clock.after(waitMs, end)
      this.#arrivals.add(end)
    })
  }

  #partitionOf(partition: number): LogRecord[] {
    const records = this.#partitions[partition]
    if (!records) throw new Error(`no partition ${partition}`)
    return records
  }
}
