/** What a member goes on with, and what it gives up, while its group divides the partitions anew. */
import { afterEach, expect, it } from 'vitest'
import { silentLogger } from '#runtime/logger.ts'
import type { Assignment } from '../log.ts'
import { FakeCoordinator } from './coordinator.fake.ts'
import type { KafkaFetcher } from './fetcher.ts'
import { KafkaMember } from './member.ts'

const partitionCount = 4

/** One member and what it was given, newest last. */
class Watched {
  readonly member: KafkaMember
  readonly given: Assignment[] = []
  #onGiven: () => void = () => {}

  constructor(coordinator: FakeCoordinator) {
    this.member = new KafkaMember(coordinator.connect(), { readers: new Set() } as unknown as KafkaFetcher, {
      group: 'g',
      topic: coordinator.topic,
      partitionCount: () => partitionCount,
      refreshPartitions: async () => {},
      sessionMs: 40,
      asking: coordinator.connect(),
      logger: silentLogger,
      onAssigned: (assignment) => {
        this.given.push(assignment)
        assignment.revoked.addEventListener('abort', () => this.#onGiven())
        this.#onGiven()
      },
    })
    this.member.start()
  }

  get held(): Assignment[] {
    return this.given.filter(({ revoked }) => !revoked.aborted)
  }

  async untilHeld(count: number): Promise<Assignment[]> {
    while (this.held.length !== count) await new Promise<void>((resolve) => (this.#onGiven = resolve))
    return this.held
  }
}

const watched: Watched[] = []
const join = (coordinator: FakeCoordinator): Watched => {
  const joined = new Watched(coordinator)
  watched.push(joined)
  return joined
}
afterEach(() => Promise.all(watched.splice(0).map(({ member }) => member.close())))

const at = (offset: number) => ({ offset, metadata: '' })

it('a member keeps what stays with it while another comes and leaves, and commits to it under the group’s next generations [G-2]', async () => {
  const coordinator = new FakeCoordinator()
  const first = join(coordinator)
  await first.untilHeld(partitionCount)
  const second = join(coordinator)
  const moved = await second.untilHeld(2)
  const kept = await first.untilHeld(2)
  expect(first.given).toHaveLength(partitionCount)
  await kept[0]!.commit(at(5))
  expect(coordinator.commits.at(-1)).toMatchObject({ generation: 2, partition: kept[0]!.partition, offset: 5 })
  await moved[0]!.commit(at(7))
  await second.member.close()
  await first.untilHeld(partitionCount)
  expect(kept.every(({ revoked }) => !revoked.aborted)).toBe(true)
  await kept[0]!.commit(at(6))
  expect(coordinator.commits.at(-1)).toMatchObject({ generation: 3, partition: kept[0]!.partition, offset: 6 })
  expect(first.held.find(({ partition }) => partition === moved[0]!.partition)?.position).toMatchObject({ offset: 7 })
})

it('what is committed while partitions are divided waits: for what stays it is taken under the next generation, for what goes it is refused', async () => {
  const coordinator = new FakeCoordinator()
  const first = join(coordinator)
  const all = await first.untilHeld(partitionCount)
  const silent = coordinator.addSilent()
  await coordinator.untilBegun('join', 2)
  const commits = all.map((assignment) => assignment.commit(at(1)))
  const second = join(coordinator)
  await coordinator.untilBegun('join', 3)
  expect(coordinator.commits).toEqual([])
  coordinator.leave(silent)
  await second.untilHeld(2)
  const settled = await Promise.allSettled(commits)
  expect(settled.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected'])
  expect(settled.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: { code: 'LOG_GENERATION_STALE' },
  })
  expect(coordinator.commits.map(({ generation }) => generation)).toEqual([2, 2])
  expect(coordinator.begun.filter((request) => request.startsWith('commit'))).toHaveLength(2)
})

it('a commit that the coordinator refuses since others divide already makes the member join, and is made again [G-2]', async () => {
  const coordinator = new FakeCoordinator()
  const first = join(coordinator)
  const [assignment] = await first.untilHeld(partitionCount)
  coordinator.refuseNext('commit', 'REBALANCE_IN_PROGRESS')
  await assignment!.commit(at(3))
  expect(assignment!.revoked.aborted).toBe(false)
  expect(coordinator.commits).toMatchObject([{ generation: 2, offset: 3 }])
})

it('a member that did not hear what it had in a generation is given everything anew, with positions that others may have moved [G-2]', async () => {
  const coordinator = new FakeCoordinator()
  const first = join(coordinator)
  const before = await first.untilHeld(partitionCount)
  const [{ partition }] = before as [Assignment]
  coordinator.refuseNext('sync', 'REBALANCE_IN_PROGRESS')
  coordinator.move(partition, 9)
  first.member.divideAnew()
  await Promise.all(before.map(({ revoked }) => aborted(revoked)))
  const after = await first.untilHeld(partitionCount)
  expect(after.map(({ generation }) => generation)).toEqual([3, 3, 3, 3])
  expect(after.find((given) => given.partition === partition)?.position).toMatchObject({ offset: 9 })
})

it('a member that is closed while it waits for others to join leaves at once, and not behind its own join', async () => {
  const coordinator = new FakeCoordinator()
  const first = join(coordinator)
  await first.untilHeld(partitionCount)
  const silent = coordinator.addSilent()
  await coordinator.untilBegun('join', 2)
  await first.member.close()
  expect(coordinator.members).toEqual([silent])
})

it('a member that is closed in its first join leaves under the name it was given, and waits for no member that is gone', async () => {
  const coordinator = new FakeCoordinator({ namesFirst: true })
  const gone = coordinator.addSilent()
  const first = join(coordinator)
  await coordinator.untilBegun('join', 2)
  await first.member.close()
  expect(coordinator.members).toEqual([gone])
  expect(first.given).toEqual([])
})

it('a member that is closed before it has its name leaves as soon as it has', async () => {
  const coordinator = new FakeCoordinator()
  const silent = coordinator.addSilent()
  const first = join(coordinator)
  await coordinator.untilBegun('join', 1)
  const closed = first.member.close()
  coordinator.leave(silent)
  await closed
  expect(coordinator.members).toEqual([])
  expect(first.given).toEqual([])
})

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve())
    if (signal.aborted) resolve()
  })
}
