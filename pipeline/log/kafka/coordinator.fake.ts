/**
 * The coordinator of one group as Kafka has it, in this process and without time: a division waits for every member that there is, each makes
 * a generation, and what was sent under another one is refused. A connection is answered in order, so behind a join everything waits.
 */
import kafkajs from 'kafkajs'
import type { KafkaBroker, KafkaCluster } from '#pipeline/kafka/client.ts'

type Joined = Awaited<ReturnType<KafkaBroker['joinGroup']>>
type Request<Name extends keyof KafkaBroker> = KafkaBroker[Name] extends (request: infer R) => unknown ? R : never

interface Waiter<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

interface Member {
  metadata: Buffer
  /** Waits in a join. */
  joining: Waiter<Joined> | undefined
  syncing: Waiter<Buffer> | undefined
}

export interface TakenCommit {
  readonly memberId: string
  readonly generation: number
  readonly partition: number
  readonly offset: number
}

export class FakeCoordinator {
  readonly topic = 't'
  generation = 0
  /** Who joins without a name is given one, and joins again under it. */
  readonly #namesFirst: boolean
  /** Requests in the order in which they were begun, by kind and name of the member. */
  readonly begun: string[] = []
  readonly commits: TakenCommit[] = []
  readonly #members = new Map<string, Member>()
  readonly #assignments = new Map<string, Buffer>()
  readonly #positions = new Map<number, number>()
  readonly #refusals = new Map<string, string>()
  #state: 'empty' | 'preparing' | 'completing' | 'stable' = 'empty'
  #leaderId = ''
  #named = 0
  #onBegun: () => void = () => {}

  constructor({ namesFirst = false } = {}) {
    this.#namesFirst = namesFirst
  }

  get members(): readonly string[] {
    return [...this.#members.keys()]
  }

  /** A connection of its own. */
  connect(): KafkaCluster {
    let last: Promise<unknown> = Promise.resolve()
    const inOrder =
      <R, A>(kind: string, answer: (request: R) => A | Promise<A>) =>
      (request: R & { memberId?: string }): Promise<A> => {
        const answered = last.then(() => {
          this.begun.push(`${kind} ${request.memberId ?? ''}`.trimEnd())
          this.#onBegun()
          const refusal = this.#refusals.get(kind)
          this.#refusals.delete(kind)
          if (refusal !== undefined) throw fault(refusal)
          return answer(request)
        })
        last = answered.catch(() => {})
        return answered
      }
    const broker = {
      joinGroup: inOrder('join', (request: Request<'joinGroup'>) => this.#join(request)),
      syncGroup: inOrder('sync', (request: Request<'syncGroup'>) => this.#sync(request)),
      heartbeat: inOrder('heartbeat', (request: Request<'heartbeat'>) => this.#heartbeat(request)),
      leaveGroup: inOrder('leave', ({ memberId }: Request<'leaveGroup'>) => this.leave(memberId)),
      offsetCommit: inOrder('commit', (request: Request<'offsetCommit'>) => this.#commit(request)),
      offsetFetch: inOrder('positions', (request: Request<'offsetFetch'>) => this.#fetch(request)),
    }
    return {
      connect: async () => {},
      disconnect: async () => {},
      findGroupCoordinator: async () => broker as unknown as KafkaBroker,
    } as unknown as KafkaCluster
  }

  /** Resolves when so many requests of this kind were begun. */
  async untilBegun(kind: string, count: number): Promise<void> {
    while (this.begun.filter((each) => each.startsWith(kind)).length < count)
      await new Promise<void>((resolve) => (this.#onBegun = resolve))
  }

  /** A member that is not one of ours, and joins when it is told to. */
  addSilent(): string {
    const memberId = this.#nameNew()
    this.#divide()
    return memberId
  }

  /** Answers the next request of this kind with a fault, once. */
  refuseNext(kind: string, type: string): void {
    this.#refusals.set(kind, type)
  }

  /** As another member did. */
  move(partition: number, offset: number): void {
    this.#positions.set(partition, offset)
  }

  leave(memberId: string): void {
    const member = this.#members.get(memberId)
    if (member === undefined) throw fault('UNKNOWN_MEMBER_ID')
    this.#members.delete(memberId)
    member.joining?.reject(fault('UNKNOWN_MEMBER_ID'))
    member.syncing?.reject(fault('UNKNOWN_MEMBER_ID'))
    this.#divide()
  }

  async #join({ memberId: told, groupProtocols }: Request<'joinGroup'>): Promise<Joined> {
    const memberId = told === '' ? this.#nameNew() : told
    if (told === '' && this.#namesFirst) throw Object.assign(fault('MEMBER_ID_REQUIRED'), { memberId })
    const member = this.#memberOf(memberId)
    member.metadata = groupProtocols[0]?.metadata ?? Buffer.alloc(0)
    const joining = waiter<Joined>()
    member.joining = joining
    this.#divide()
    return joining.promise
  }

  #nameNew(): string {
    const memberId = `member-${this.#named++}`
    this.#members.set(memberId, { metadata: Buffer.alloc(0), joining: undefined, syncing: undefined })
    return memberId
  }

  /** Begins to divide, and is done once every member has joined. */
  #divide(): void {
    this.#state = this.#members.size === 0 ? 'empty' : 'preparing'
    const members = [...this.#members]
    for (const [, { syncing }] of members) syncing?.reject(fault('REBALANCE_IN_PROGRESS'))
    if (members.length === 0 || members.some(([, { joining }]) => joining === undefined)) return
    this.generation++
    this.#state = 'completing'
    if (!this.#members.has(this.#leaderId)) this.#leaderId = members[0]?.[0] ?? ''
    const all = members.map(([memberId, { metadata: memberMetadata }]) => ({ memberId, memberMetadata }))
    for (const [memberId, member] of members) {
      const isLeader = memberId === this.#leaderId
      member.joining?.resolve({
        generationId: this.generation,
        leaderId: this.#leaderId,
        memberId,
        members: isLeader ? all : [],
      })
      member.joining = undefined
    }
  }

  async #sync({
    memberId,
    generationId,
    groupAssignment,
  }: Request<'syncGroup'>): Promise<{ memberAssignment: Buffer }> {
    const member = this.#memberOf(memberId)
    if (generationId !== this.generation) throw fault('ILLEGAL_GENERATION')
    if (this.#state === 'preparing') throw fault('REBALANCE_IN_PROGRESS')
    if (memberId === this.#leaderId) {
      this.#state = 'stable'
      for (const { memberId: id, memberAssignment } of groupAssignment) {
        this.#assignments.set(id, memberAssignment)
        this.#members.get(id)?.syncing?.resolve(memberAssignment)
      }
    }
    const assignment = this.#assignments.get(memberId)
    if (this.#state === 'stable' && assignment !== undefined) return { memberAssignment: assignment }
    member.syncing = waiter()
    return { memberAssignment: await member.syncing.promise.finally(() => (member.syncing = undefined)) }
  }

  #heartbeat({ memberId, groupGenerationId }: Request<'heartbeat'>): void {
    this.#memberOf(memberId)
    if (groupGenerationId !== this.generation) throw fault('ILLEGAL_GENERATION')
    if (this.#state === 'preparing') throw fault('REBALANCE_IN_PROGRESS')
  }

  #commit({ memberId, groupGenerationId, topics }: Request<'offsetCommit'>) {
    this.#memberOf(memberId)
    if (groupGenerationId !== this.generation) throw fault('ILLEGAL_GENERATION')
    if (this.#state === 'completing') throw fault('REBALANCE_IN_PROGRESS')
    const partitions = topics.flatMap((topic) => topic.partitions)
    for (const { partition, offset } of partitions) {
      this.#positions.set(partition, Number(offset))
      this.commits.push({ memberId, generation: groupGenerationId, partition, offset: Number(offset) })
    }
    return this.#answer(partitions.map(({ partition }) => ({ partition, errorCode: 0 })))
  }

  #fetch({ topics }: Request<'offsetFetch'>) {
    const partitions = topics.flatMap((topic) => topic.partitions)
    return this.#answer(
      partitions.map(({ partition }) => {
        const offset = String(this.#positions.get(partition) ?? -1)
        return { partition, errorCode: 0, offset, metadata: '' }
      }),
    )
  }

  #answer<P>(partitions: readonly P[]) {
    return { responses: [{ topic: this.topic, partitions }] }
  }

  #memberOf(memberId: string): Member {
    const member = this.#members.get(memberId)
    if (member === undefined) throw fault('UNKNOWN_MEMBER_ID')
    return member
  }
}

function waiter<T>(): Waiter<T> {
  let settle: Omit<Waiter<T>, 'promise'> = { resolve() {}, reject() {} }
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject }
  })
  return { promise, ...settle }
}

function fault(type: string): Error {
  return new kafkajs.KafkaJSProtocolError({ type, code: 0, message: type } as never)
}
