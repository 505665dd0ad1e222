import { randomUUID } from 'node:crypto'
import { assert } from '#runtime/assert.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { Assignment, GroupMember, GroupPosition, LogRecord } from '../log.ts'
import { type GroupMemberState, type GroupState, isUnplanned } from './group.ts'
import { isProcessGone } from './process-identity.ts'

/** What a member needs from an embedded log. Steps run inside one write transaction each. */
export interface GroupStore {
  /** The state as last committed by anyone; the same object as before if its revision is the same. */
  state(group: string): GroupState
  step(group: string, member: GroupMemberState, dead: ReadonlySet<string>): Promise<GroupState>
  leave(group: string, memberId: string): Promise<void>
  /** A number that the member raises while it lives. */
  beat(group: string, memberId: string): Promise<void>
  beatOf(group: string, memberId: string): number
  position(group: string, partition: number): GroupPosition | undefined
  commit(group: string, memberId: string, partition: number, generation: number, position: GroupPosition): Promise<void>
  read(
    partition: number,
    offset: number,
    bytesMax: number,
    waitMs: number,
    logId: string | undefined,
    stop: AbortSignal,
  ): Promise<LogRecord[]>
  /** Nothing is written, and the next write by anyone is followed by `look`. */
  isResting(): boolean
}

export interface GroupRunnerOptions {
  readonly group: string
  readonly process: string
  readonly clock: Clock
  readonly logger: Logger
  /** A member of another machine, or a paused one, loses its partitions after so long without a beat. */
  readonly sessionMs: number
  /** As of `GroupMemberState`. */
  readonly holds?: boolean
  readonly onAssigned: (assignment: Assignment) => void
}

/** Longest time between two looks at the group; a move of partitions takes about two of them. */
const tickMsMax = 50
/** While its store rests a member looks so often within a session: at whether others live, and to say that it does. */
const restingLooks = 30

interface Held {
  readonly generation: number
  readonly revoke: AbortController
}

/** A member of a group on an embedded log: looks at the shared state now and then, and acts on it. */
export class GroupRunner implements GroupMember {
  readonly #store: GroupStore
  readonly #options: GroupRunnerOptions
  readonly #self: GroupMemberState
  readonly #tickMs: number
  readonly #held = new Map<number, Held>()
  /** Ticks from one look to the next. */
  #ticksWaited = 1
  #ticksSinceBeat = 0
  /** Last beat seen of each other member, and for how many ticks it has not changed. */
  readonly #beats = new Map<string, { beat: number; ticks: number }>()
  #cancel: (() => void) | undefined
  #running: Promise<void> = Promise.resolve()
  #closed = false

  constructor(store: GroupStore, options: GroupRunnerOptions) {
    this.#store = store
    this.#options = options
    const { process, holds } = options
    this.#self = { id: randomUUID(), process, ...(holds && { holds }) }
    this.#tickMs = Math.min(tickMsMax, Math.max(1, Math.floor(options.sessionMs / 10)))
  }

  async start(): Promise<void> {
    await this.#act(true, 0)
    this.#schedule()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#cancel?.()
    for (const partition of this.#held.keys()) this.#revoke(partition)
    await this.#running
    await this.#store.leave(this.#options.group, this.#self.id)
  }

  /** Looks at the group now instead of at the next tick. */
  look(): void {
    // One that is under way is followed by the next within a tick.
    if (this.#closed || this.#cancel === undefined) return
    this.#cancel()
    // Others may not have had the time that this member wanted to give them; it itself may have had it.
    this.#running = this.#tick(1)
  }

  #schedule(): void {
    if (this.#closed) return
    const restingTicks = Math.max(1, Math.floor(this.#options.sessionMs / restingLooks / this.#tickMs))
    const ticks = this.#store.isResting() ? restingTicks : 1
    this.#ticksWaited = ticks
    this.#cancel = this.#options.clock.after(ticks * this.#tickMs, () => {
      this.#running = this.#tick(ticks)
    })
  }

  /** @param ticks that have passed for sure */
  async #tick(ticks: number): Promise<void> {
    this.#cancel = undefined
    this.#ticksSinceBeat += this.#ticksWaited
    try {
      await this.#act(false, ticks)
    } catch (error) {
      // The store could not be written (disk full, say): partitions stay as they are, commits are fenced anyway.
      this.#options.logger.warn('a group member could not update its group', { group: this.#options.group, error })
    }
    this.#schedule()
  }

  async #act(joining: boolean, ticks: number): Promise<void> {
    const { group, sessionMs } = this.#options
    const id = this.#self.id
    const before = this.#store.state(group)
    for (const [partition, held] of this.#held) {
      const now = before.partitions[partition]
      if (now?.owner !== id || now.generation !== held.generation || now.wanted !== id) this.#revoke(partition)
    }
    const dead = this.#deadMembers(before, ticks)
    const isMember = before.members.some((member) => member.id === id)
    const moves = before.partitions.some(
      ({ owner, wanted }) => (owner === id) !== (wanted === id) && (owner === id || owner === undefined),
    )
    const state =
      joining || !isMember || dead.size > 0 || moves || isUnplanned(before)
        ? await this.#store.step(group, this.#self, dead)
        : before
    if (this.#closed) return
    for (const [partition, { owner, wanted, generation }] of state.partitions.entries()) {
      if (owner === id && wanted === id && !this.#held.has(partition)) this.#assign(partition, generation)
    }
    if (!joining && this.#ticksSinceBeat < Math.floor(sessionMs / 3 / this.#tickMs)) return
    await this.#store.beat(group, id)
    this.#ticksSinceBeat = 0
  }

  /** Counts its own ticks instead of reading a clock, so that neither a clock jump nor its own pause kills another member. */
  #deadMembers(state: GroupState, ticks: number): Set<string> {
    const dead = new Set<string>()
    for (const member of state.members) {
      if (member.id === this.#self.id) continue
      const beat = this.#store.beatOf(this.#options.group, member.id)
      const seen = this.#beats.get(member.id)
      if (seen?.beat === beat) seen.ticks += ticks
      else this.#beats.set(member.id, { beat, ticks: 0 })
      const silent = seen !== undefined && seen.ticks * this.#tickMs >= this.#options.sessionMs
      if (silent || (member.process !== this.#self.process && isProcessGone(member.process))) dead.add(member.id)
    }
    for (const id of this.#beats.keys()) if (!state.members.some((member) => member.id === id)) this.#beats.delete(id)
    return dead
  }

  #revoke(partition: number): void {
    const held = this.#held.get(partition)
    this.#held.delete(partition)
    held?.revoke.abort()
  }

  #assign(partition: number, generation: number): void {
    const { group, onAssigned } = this.#options
    assert(!this.#held.has(partition), `partition ${partition} is assigned once, until it is revoked`)
    const revoke = new AbortController()
    const held = { generation, revoke }
    const store = this.#store
    const memberId = this.#self.id
    const assertHeld = () => {
      if (revoke.signal.aborted)
        throw new PenstockError('LOG_GENERATION_STALE', `partition ${partition} was taken from this member`)
    }
    this.#held.set(partition, held)
    onAssigned({
      partition,
      generation,
      position: store.position(group, partition),
      revoked: revoke.signal,
      read: async (offset, bytesMax, waitMs, logId) => {
        assertHeld()
        const records = await store.read(partition, offset, bytesMax, waitMs, logId, revoke.signal)
        assertHeld()
        return records
      },
      commit: async (position) => {
        assertHeld()
        try {
          await store.commit(group, memberId, partition, generation, position)
        } catch (error) {
          if (
            error instanceof PenstockError &&
            error.code === 'LOG_GENERATION_STALE' &&
            this.#held.get(partition) === held
          )
            this.#revoke(partition)
          throw error
        }
      },
    })
  }
}
