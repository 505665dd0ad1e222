import type { Assignment, GroupMember, GroupPosition, Log, LogRecord, PartitionRange } from '#pipeline/log/log.ts'
import { type Clock, sleep } from '#runtime/clock.ts'

/** A log that ends where it is said to, for readers that join it; whatever is asked of it otherwise, the log itself answers. */
export class BoundedLog implements Log {
  readonly topic: string
  readonly #log: Log
  readonly #ends: readonly number[]
  readonly #clock: Clock

  /** @param ends by partition, the offset behind its last record */
  constructor(log: Log, ends: readonly number[], clock: Clock) {
    this.topic = log.topic
    this.#log = log
    this.#ends = ends
    this.#clock = clock
  }

  get partitionCount(): number {
    return this.#log.partitionCount
  }

  join(group: string, onAssigned: (assignment: Assignment) => void): Promise<GroupMember> {
    return this.#log.join(group, (assignment) => onAssigned(this.#bounded(assignment)))
  }

  async ranges(): Promise<readonly PartitionRange[]> {
    return (await this.#log.ranges()).map(({ first, next }, partition) => {
      const end = Math.min(next, this.#endOf(partition))
      return { first, next: Math.max(first, end) }
    })
  }

  id(): Promise<string> {
    return this.#log.id()
  }

  append(...record: Parameters<Log['append']>): Promise<number> {
    return this.#log.append(...record)
  }

  positions(group: string): Promise<readonly (GroupPosition | undefined)[]> {
    return this.#log.positions(group)
  }

  read(...place: Parameters<Log['read']>): Promise<LogRecord[]> {
    return this.#log.read(...place)
  }

  retain(...policy: Parameters<Log['retain']>): ReturnType<Log['retain']> {
    return this.#log.retain(...policy)
  }

  grow(partitionCount: number): Promise<void> {
    return this.#log.grow(partitionCount)
  }

  refreshPartitions(): Promise<void> {
    return this.#log.refreshPartitions()
  }

  /** The log is its opener's. */
  async close(): Promise<void> {}

  #endOf(partition: number): number {
    return this.#ends[partition] ?? 0
  }

  #bounded(assignment: Assignment): Assignment {
    const { partition, generation, position, revoked } = assignment
    const end = this.#endOf(partition)
    return {
      partition,
      generation,
      position,
      revoked,
      read: async (offset, bytesMax, waitMs, logId) => {
        if (offset < end)
          return (await assignment.read(offset, bytesMax, waitMs, logId)).filter((record) => record.offset < end)
        await sleep(this.#clock, waitMs, revoked)
        return []
      },
      commit: (place) => assignment.commit(place),
    }
  }
}
