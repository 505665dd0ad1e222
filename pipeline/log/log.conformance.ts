/** What every log holds, whichever adapter it is; run from a test file of each adapter. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isPenstockError } from '#schemas/errors.ts'
import { limits } from '#schemas/limits.ts'
import type { Assignment, BatchStamp, GroupMember, Log, LogRecord } from './log.ts'
import type { OpenLogOptions } from './log-options.ts'

/** One adapter under test. */
export interface LogSubject {
  /** Prepares what all tests share, e.g. a server. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Opens a log; the same topic again is what another process would see. */
  open(topic: string, partitionCount: number | undefined): Promise<Log>
  /** For another process to open the same log; `undefined` if it cannot be shared or survives nothing. */
  options: ((topic: string, partitionCount: number | undefined) => OpenLogOptions) | undefined
  /** Kafka removes records by itself. */
  readonly retains: boolean
}

export function stampOf(sequence: number, change: Partial<BatchStamp> = {}): BatchStamp {
  return {
    schemaVersion: 1,
    edgeId: 'edge-1',
    epoch: 1_700_000_000_000,
    sequence,
    messageCount: 3,
    enqueuedAtMsFirst: 1_700_000_000_100 + sequence,
    enqueuedAtMsLast: 1_700_000_000_200 + sequence,
    ...change,
  }
}

const text = (value: string): Buffer => Buffer.from(value)
const textsOf = (records: readonly LogRecord[]): string[] => records.map(({ value }) => Buffer.from(value).toString())

export function logConformance(name: string, subject: LogSubject): void {
  describe(`log conformance: ${name}`, () => {
    let topic = ''
    let logs: Log[] = []
    let members: GroupMember[] = []
    let topics = 0

    beforeAll(() => subject.start())
    afterAll(() => subject.stop())
    beforeEach(() => {
      topic = `penstock.test-${process.pid}-${topics++}`
    })
    afterEach(async () => {
      await Promise.all(members.map((member) => member.close()))
      await Promise.all(logs.map((log) => log.close()))
      logs = []
      members = []
    })

    const open = async (partitionCount = 1): Promise<Log> => {
      const log = await subject.open(topic, partitionCount)
      logs.push(log)
      return log
    }
    const join = async (log: Log, group = 'g'): Promise<Member> => {
      const member = new Member()
      members.push(await log.join(group, (assignment) => member.assigned(assignment)))
      return member
    }

    it('an append resolves with the offset of its record, beginning at 0, and the record comes back as it was', async () => {
      const log = await open(2)
      const stamp = stampOf(7, { edgeId: 'kantö-1', messageCount: 12_345 })
      const value = Buffer.from([0, 255, 1, 128, 10])
      expect(await log.append(1, stamp, value)).toBe(0)
      expect(await log.append(1, stampOf(8), text('b'))).toBe(1)
      expect(await log.append(0, stampOf(0), text('other partition'))).toBe(0)
      const [first, second] = await readAll(log, 1, 2)
      expect(first).toMatchObject({ offset: 0, stamp })
      expect(Buffer.from(first!.value)).toEqual(value)
      expect(second).toMatchObject({ offset: 1, stamp: stampOf(8) })
      expect(await log.ranges()).toEqual([
        { first: 0, next: 1 },
        { first: 0, next: 2 },
      ])
    })

    it('an appended buffer may be reused after the append resolved', async () => {
      const log = await open()
      const value = text('before')
      await log.append(0, stampOf(0), value)
      value.fill(0)
      expect(textsOf(await readAll(log, 0, 1))).toEqual(['before'])
    })

    it('appends in flight to one partition keep their call order [G-3]', async () => {
      const log = await open(2)
      const offsets = await Promise.all(
        Array.from({ length: 200 }, (_, index) => log.append(index % 2, stampOf(index), text(String(index)))),
      )
      expect(offsets).toEqual(Array.from({ length: 200 }, (_, index) => Math.floor(index / 2)))
      expect(textsOf(await readAll(log, 1, 100))).toEqual(
        Array.from({ length: 100 }, (_, index) => String(index * 2 + 1)),
      )
    })

    it('a record as large as the limit is kept, and one byte more is refused', async () => {
      const log = await open()
      const largest = Buffer.alloc(limits.recordBytesMax, 'x')
      await log.append(0, stampOf(0), largest)
      await expect(log.append(0, stampOf(1), Buffer.alloc(limits.recordBytesMax + 1))).rejects.toMatchObject({
        code: 'LOG_RECORD_TOO_LARGE',
      })
      expect((await readAll(log, 0, 1))[0]!.value.length).toBe(largest.length)
      expect(await log.append(0, stampOf(1), text('after'))).toBe(1)
    })

    it('a read is bounded by bytes, but always gives one record', async () => {
      const log = await open()
      for (let index = 0; index < 4; index++) await log.append(0, stampOf(index), Buffer.alloc(1000, index))
      expect((await log.read(0, 0, 2500)).map(({ offset }) => offset)).toEqual([0, 1])
      expect((await log.read(0, 2, 1)).map(({ offset }) => offset)).toEqual([2])
      expect(await log.read(0, 4, 1000)).toEqual([])
    })

    it('a read beyond the end is refused as a lost position', async () => {
      const log = await open()
      await log.append(0, stampOf(0), text('a'))
      await expect(log.read(0, 5, 1000)).rejects.toMatchObject({ code: 'LOG_POSITION_LOST' })
    })

    it('a waiting reader is woken by an append of another log handle', async () => {
      const log = await open()
      const member = await join(log)
      const assignment = await member.next(0)
      expect(assignment.position).toBeUndefined()
      const waiting = assignment.read(0, 1000, 60_000)
      await (await open()).append(0, stampOf(0), text('news'))
      expect(textsOf(await waiting)).toEqual(['news'])
      expect(await assignment.read(1, 1000, 1)).toEqual([])
    })

    it('a log has one id however often it is opened, and who reads another one is refused', async () => {
      const log = await open()
      const id = await log.id()
      expect(await (await open()).id()).toBe(id)
      await log.append(0, stampOf(0), text('a'))
      const assignment = await (await join(log)).next(0)
      expect(textsOf(await assignment.read(0, 1000, 60_000, id))).toEqual(['a'])
      // As long as Kafka's own ids.
      const other = Buffer.alloc(16, 7).toString('base64url')
      for (const offset of [0, 1, 5])
        await expect(assignment.read(offset, 1000, 1, other)).rejects.toMatchObject({ code: 'LOG_REPLACED' })
      expect(textsOf(await assignment.read(0, 1000, 60_000, id))).toEqual(['a'])
    })

    it('an assignment reads again from an earlier offset', async () => {
      const log = await open()
      for (const value of ['a', 'b', 'c']) await log.append(0, stampOf(0), text(value))
      const assignment = await (await join(log)).next(0)
      expect(textsOf(await readAssigned(assignment, 0, 3))).toEqual(['a', 'b', 'c'])
      expect(textsOf(await readAssigned(assignment, 1, 2))).toEqual(['b', 'c'])
      expect(textsOf(await readAssigned(assignment, 0, 3))).toEqual(['a', 'b', 'c'])
    })

    it('positions with metadata are kept a group, and given to the next member', async () => {
      const log = await open(2)
      for (const value of ['a', 'b', 'c']) await log.append(1, stampOf(0), text(value))
      const first = await join(log)
      const assignment = await first.next(1)
      const metadata = `{"b":2,"token":"t ü"}${'x'.repeat(3_900)}`
      await assignment.commit({ offset: 1, metadata })
      expect(await log.positions('g')).toEqual([undefined, { offset: 1, metadata }])
      expect(await log.positions('another')).toEqual([undefined, undefined])
      await members.pop()!.close()
      const again = await (await join(log)).next(1)
      expect(again.position).toEqual({ offset: 1, metadata })
      expect(again.generation).toBeGreaterThan(assignment.generation)
      await again.commit({ offset: 2, metadata: '' })
      expect(await log.positions('g')).toEqual([undefined, { offset: 2, metadata: '' }])
    })

    it('each partition belongs to one member; a second one takes its share under a higher generation', async () => {
      const log = await open(4)
      const first = await join(log)
      const before = await Promise.all([0, 1, 2, 3].map((partition) => first.next(partition)))
      const second = await join(await open(4))
      await second.until(2)
      const held = await settledShares(first, second)
      expect(held.flat().sort()).toEqual([0, 1, 2, 3])
      for (const partition of second.partitions()) {
        const old = before[partition]!
        expect(old.revoked.aborted).toBe(true)
        expect(second.current.get(partition)!.generation).toBeGreaterThan(old.generation)
        await expect(old.commit({ offset: 0, metadata: '' })).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
        await expect(old.read(0, 1, 0)).rejects.toMatchObject({ code: 'LOG_GENERATION_STALE' })
        await second.current.get(partition)!.commit({ offset: 0, metadata: 'second' })
      }
      await members.pop()!.close()
      await first.until(4)
      for (const partition of held[1]!)
        expect(first.current.get(partition)!.position).toEqual({ offset: 0, metadata: 'second' })
    })

    it('a closed member and a closed log refuse everything', async () => {
      const log = await open()
      const assignment = await (await join(log)).next(0)
      await members.pop()!.close()
      expect(assignment.revoked.aborted).toBe(true)
      await expect(assignment.commit({ offset: 0, metadata: '' })).rejects.toMatchObject({
        code: 'LOG_GENERATION_STALE',
      })
      const second = await (await join(log)).next(0)
      const waiting = second.read(0, 1, 60_000).catch((error: unknown) => error)
      await log.close()
      expect(second.revoked.aborted).toBe(true)
      expect(isPenstockError(await waiting)).toBe(true)
      for (const call of [
        () => log.append(0, stampOf(0), text('x')),
        () => log.ranges(),
        () => log.read(0, 0, 1),
        () => log.join('g', () => {}),
      ])
        await expect(call()).rejects.toMatchObject({ code: 'LOG_CLOSED' })
      await log.close()
    })

    it('appends that were called before close are settled by it', async () => {
      const log = await open()
      const appends = Array.from({ length: 20 }, (_, index) => log.append(0, stampOf(index), text(String(index))))
      await log.close()
      expect(await Promise.all(appends)).toEqual(Array.from({ length: 20 }, (_, index) => index))
    })

    it('another number of partitions than the topic has is refused', async () => {
      await open(2)
      await expect(subject.open(topic, 3)).rejects.toMatchObject({ code: 'LOG_PARTITIONS_MISMATCH' })
    })

    it('whoever names no number of partitions gets those that the topic has, and can use them all', async () => {
      await open(5)
      const log = await subject.open(topic, undefined)
      logs.push(log)
      expect(log.partitionCount).toBe(5)
      expect(await log.append(4, stampOf(0), text('last'))).toBe(0)
      expect(await log.ranges()).toHaveLength(5)
    })

    it('partitions that are added are empty, are seen by others, and are divided among members that were there', async () => {
      const log = await open(2)
      await log.append(1, stampOf(0), text('before'))
      const other = await open(2)
      const member = await join(other)
      await member.next(0)
      await log.grow(4)
      await log.grow(4)
      await other.refreshPartitions()
      expect([log.partitionCount, other.partitionCount]).toEqual([4, 4])
      expect((await other.ranges()).map(({ next }) => next)).toEqual([0, 1, 0, 0])
      const added = await member.next(3)
      expect(await log.append(3, stampOf(0), text('after'))).toBe(0)
      expect(await added.read(0, 1_000, 10_000)).toHaveLength(1)
      await added.commit({ offset: 1, metadata: '' })
      expect((await log.positions('g')).map((position) => position?.offset)).toEqual([
        undefined,
        undefined,
        undefined,
        1,
      ])
      const settings = await subject.open(topic, 2)
      logs.push(settings)
      expect(settings.partitionCount).toBe(4)
    })

    if (subject.retains)
      describe('retention', () => {
        const policy = { nowMs: 10_000, ageMsMax: 1_000, partitionBytesMax: 1_000_000, neededBy: [], force: false }
        const at = (ms: number) => stampOf(0, { enqueuedAtMsFirst: ms, enqueuedAtMsLast: ms })

        it('removes by age what every group has delivered, and a read from there is a lost position', async () => {
          const log = await open()
          for (const ms of [1, 2, 9_500]) await log.append(0, at(ms), text('x'))
          const assignment = await (await join(log)).next(0)
          await assignment.commit({ offset: 1, metadata: '' })
          expect(await log.retain(policy)).toMatchObject({ removedRecords: 1, lostRecords: 0 })
          expect(await log.ranges()).toEqual([{ first: 1, next: 3 }])
          await expect(log.read(0, 0, 1)).rejects.toMatchObject({
            code: 'LOG_POSITION_LOST',
            message: expect.stringContaining('from 1'),
          })
          await expect(assignment.read(0, 1, 0)).rejects.toMatchObject({ code: 'LOG_POSITION_LOST' })
          await assignment.commit({ offset: 3, metadata: '' })
          expect(await log.retain(policy)).toMatchObject({ removedRecords: 1, lostRecords: 0 })
          expect(await log.append(0, at(9_600), text('y'))).toBe(3)
        })

        it('never removes what a group that joined has not delivered, unless forced by size, and then says so', async () => {
          const log = await open()
          for (let index = 0; index < 10; index++) await log.append(0, at(1), Buffer.alloc(1000))
          await (await join(log)).next(0)
          expect(await log.retain(policy)).toMatchObject({ removedRecords: 0, lostRecords: 0 })
          expect(await log.retain({ ...policy, force: true })).toMatchObject({ removedRecords: 0, lostRecords: 0 })
          const small = { ...policy, partitionBytesMax: 4_000 }
          expect(await log.retain(small)).toMatchObject({ removedRecords: 0, lostRecords: 0 })
          expect(await log.retain({ ...small, force: true })).toMatchObject({ removedRecords: 6, lostRecords: 6 })
          expect(await log.ranges()).toEqual([{ first: 6, next: 10 }])
        })

        it('never removes what a group that has yet to join for the first time needs', async () => {
          const log = await open()
          for (const ms of [1, 2]) await log.append(0, at(ms), Buffer.alloc(1000))
          const needed = { ...policy, partitionBytesMax: 500, neededBy: ['g'] }
          expect(await log.retain(needed)).toMatchObject({ removedRecords: 0, lostRecords: 0, overLimitBytes: 1_500 })
          await (await (await join(log)).next(0)).commit({ offset: 1, metadata: '' })
          expect(await log.retain(needed)).toMatchObject({ removedRecords: 1, lostRecords: 0 })
          expect(await log.ranges()).toEqual([{ first: 1, next: 2 }])
        })

        it('removes by size the oldest delivered records of each partition', async () => {
          const log = await open(2)
          for (let index = 0; index < 300; index++) await log.append(1, at(10_000), Buffer.alloc(100))
          expect(await log.retain({ ...policy, partitionBytesMax: 1_000 })).toMatchObject({
            removedRecords: 290,
            lostRecords: 0,
          })
          expect(await log.ranges()).toEqual([
            { first: 0, next: 0 },
            { first: 290, next: 300 },
          ])
        })
      })

    const { options } = subject
    if (options !== undefined)
      describe('processes', () => {
        it('a log opened again holds every record and position', async () => {
          const log = await open(2)
          for (let index = 0; index < 10; index++) await log.append(1, stampOf(index), text(String(index)))
          const member = await join(log)
          await (await member.next(1)).commit({ offset: 4, metadata: 'm' })
          await log.close()
          const again = await open(2)
          expect(textsOf(await readAll(again, 1, 10))).toEqual(Array.from({ length: 10 }, (_, index) => String(index)))
          expect(await again.positions('g')).toEqual([undefined, { offset: 4, metadata: 'm' }])
          expect(await again.append(1, stampOf(10), text('10'))).toBe(10)
        })

        it('every confirmed record survives a kill of the process that appended it [G-1]', async () => {
          const child = await startChild(options!(topic, 2), 'append')
          const confirmed: [number, number, string][] = []
          child.on('message', (message) => confirmed.push(message as [number, number, string]))
          while (confirmed.length < 100) await once(child, 'message')
          await kill(child)
          const log = await open(2)
          const kept = await Promise.all([readAll(log, 0, 1), readAll(log, 1, 1)])
          for (const [partition, offset, value] of confirmed)
            expect(textsOf(kept[partition]!.filter((record) => record.offset === offset))).toEqual([value])
        })

        it('several processes append to one partition without a gap, each in its own order [G-3]', async () => {
          const children = await Promise.all([
            startChild(options!(topic, 1), 'append', 50),
            startChild(options!(topic, 1), 'append', 50),
          ])
          await Promise.all(children.map(exited))
          const log = await open(1)
          const records = await readAll(log, 0, 100)
          expect(records.map(({ offset }) => offset)).toEqual(Array.from({ length: 100 }, (_, index) => index))
          for (const { pid } of children) {
            const own = records.filter(({ stamp }) => stamp.edgeId === `edge-${pid}`)
            expect(own.map(({ stamp }) => stamp.sequence)).toEqual(Array.from({ length: 50 }, (_, index) => index))
          }
        })

        it('a member that was killed loses its partitions to a living one', async () => {
          const child = await startChild(options!(topic, 2), 'join')
          await once(child, 'message')
          await kill(child)
          const log = await open(2)
          const member = await join(log)
          await member.until(2)
          await member.current.get(0)!.commit({ offset: 0, metadata: 'taken over' })
        })

        it('a member that was paused cannot commit once its partition moved on [G-2]', async () => {
          const child = await startChild(options!(topic, 1), 'join')
          await once(child, 'message')
          child.send('pause')
          const log = await open(1)
          const member = await join(log)
          await member.until(1)
          await member.current.get(0)!.commit({ offset: 0, metadata: 'mine' })
          const answer = once(child, 'message')
          child.send('commit')
          child.kill('SIGCONT')
          expect((await answer)[0]).toBe('LOG_GENERATION_STALE')
          expect(await log.positions('g')).toEqual([{ offset: 0, metadata: 'mine' }])
          await kill(child)
        })
      })
  })
}

/** Collects what a member is given. */
class Member {
  readonly current = new Map<number, Assignment>()
  #changed: () => void = () => {}

  assigned(assignment: Assignment): void {
    this.current.set(assignment.partition, assignment)
    assignment.revoked.addEventListener('abort', () => {
      if (this.current.get(assignment.partition) === assignment) this.current.delete(assignment.partition)
      this.#changed()
    })
    this.#changed()
  }

  partitions(): number[] {
    return [...this.current.keys()].sort()
  }

  async next(partition: number): Promise<Assignment> {
    for (;;) {
      const assignment = this.current.get(partition)
      if (assignment !== undefined) return assignment
      await this.change()
    }
  }

  async until(count: number): Promise<void> {
    while (this.current.size !== count) await this.change()
  }

  change(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#changed
      this.#changed = () => {
        before()
        resolve()
      }
    })
  }
}

/** Waits until two members share all of four partitions evenly. */
async function settledShares(first: Member, second: Member): Promise<number[][]> {
  while (first.current.size !== 2 || second.current.size !== 2) await Promise.race([first.change(), second.change()])
  return [first.partitions(), second.partitions()]
}

/** Reads from 0 until at least `count` records came. */
async function readAll(log: Log, partition: number, count: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for (;;) {
    const more = await log.read(partition, records.length, 1_000_000)
    records.push(...more)
    if (more.length === 0 && records.length >= count) return records
  }
}

async function readAssigned(assignment: Assignment, offset: number, count: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  while (records.length < count) records.push(...(await assignment.read(offset + records.length, 1_000_000, 10_000)))
  return records
}

const children = new Set<ReturnType<typeof fork>>()

async function startChild(
  options: OpenLogOptions,
  action: string,
  count = Number.MAX_SAFE_INTEGER,
): Promise<ReturnType<typeof fork>> {
  const { logger, clock, ...plain } = options
  const child = fork(
    new URL('./log-child.conformance.ts', import.meta.url),
    [JSON.stringify(plain), action, String(count)],
    { execArgv: [] },
  )
  children.add(child)
  child.once('exit', () => children.delete(child))
  await once(child, 'message')
  return child
}

async function kill(child: ReturnType<typeof fork>): Promise<void> {
  child.kill('SIGKILL')
  await exited(child)
}

async function exited(child: ReturnType<typeof fork>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

/** Ends children that a failed test left behind. */
export function killChildren(): void {
  for (const child of children) child.kill('SIGKILL')
}
