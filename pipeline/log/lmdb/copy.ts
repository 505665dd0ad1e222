/** The embedded log as a backup takes it, and puts it back. */
import { existsSync, mkdirSync } from 'node:fs'
import { assert } from '#runtime/assert.ts'
import { systemClock } from '#runtime/clock.ts'
import { PenstockError } from '#schemas/errors.ts'
import { emptyGroup, type GroupState } from '../group/group.ts'
import type { Assignment, GroupMember, LogRecord, PartitionRange } from '../log.ts'
import type { LogContents, LogHold, PlacedRecord } from '../log-copy.ts'
import { LmdbStore, lmdbFolder } from './store.ts'

/** Members of a process that hangs lose their partitions after their session, which is shorter. */
const holdMsMax = 30_000

/**
 * Joins each group as a member that wants all, and resolves once it has all.
 * @param stateOf as anyone last wrote it @throws LOG_UNAVAILABLE
 */
export async function holdAll(
  groups: readonly string[],
  partitionCount: number,
  join: (group: string, onAssigned: (assignment: Assignment) => void) => Promise<GroupMember>,
  stateOf: (group: string) => GroupState,
): Promise<LogHold> {
  const members: GroupMember[] = []
  const generations = new Map<string, Map<number, number>>()
  const close = async (): Promise<void> => {
    await Promise.all(members.splice(0).map((member) => member.close()))
  }
  try {
    // Not one by one: each takes some hundredths of a second.
    const joins = await Promise.allSettled(
      groups.map(async (group) => {
        const held = new Map<number, number>()
        generations.set(group, held)
        let resolveAll = (): void => {}
        const all = new Promise<void>((resolve) => {
          resolveAll = resolve
        })
        members.push(
          await join(group, ({ partition, generation }) => {
            // What it is given again after that, it had lost.
            if (held.size === partitionCount) return
            held.set(partition, generation)
            if (held.size === partitionCount) resolveAll()
          }),
        )
        await within(all, `who delivers group ${group} does not let go of its partitions`)
      }),
    )
    for (const joined of joins) if (joined.status === 'rejected') throw joined.reason
  } catch (error) {
    await close()
    throw error
  }
  return {
    close,
    assertHeld: () => {
      for (const [group, held] of generations) {
        const { partitions } = stateOf(group)
        // Whoever takes a partition raises its generation.
        if (partitions.some(({ generation }, partition) => generation !== held.get(partition)))
          throw new PenstockError(
            'LOG_UNAVAILABLE',
            `others delivered group ${group}, whose positions were to stand still`,
          )
      }
    },
  }
}

async function within(wanted: Promise<void>, late: string): Promise<void> {
  let cancel = (): void => {}
  const timeOut = new Promise<never>((_, reject) => {
    cancel = systemClock.after(holdMsMax, () => reject(new PenstockError('LOG_UNAVAILABLE', late)))
  })
  await Promise.race([wanted, timeOut]).finally(cancel)
}

export function* recordsOf(
  ranges: readonly PartitionRange[],
  record: (partition: number, offset: number) => LogRecord,
): Generator<PlacedRecord> {
  for (const [partition, { first, next }] of ranges.entries())
    for (let offset = first; offset < next; offset++) yield { partition, ...record(partition, offset) }
}

/** Bytes of one transaction, which has to fit into memory. */
const transactionBytesMax = 16 * 1024 * 1024

/**
 * Makes the log anew in `dataDir`, under its own id, with its offsets and positions.
 * @param records in the order of `recordsOf` @throws LOG_DATA_UNREADABLE if there is one already
 */
export async function writeLmdbLog(
  dataDir: string,
  { topic, id, ranges, groups }: LogContents,
  records: AsyncIterable<PlacedRecord>,
): Promise<void> {
  const path = lmdbFolder(dataDir, topic)
  if (existsSync(path)) throw new PenstockError('LOG_DATA_UNREADABLE', `there is a log in ${path} already`)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  const store = new LmdbStore(await import('lmdb'), { path, topic, partitionCount: ranges.length, bytesMax: 0 })
  try {
    store.checkFormat(topic, ranges.length, id)
    const bytes = ranges.map(() => 0)
    const nexts = ranges.map(({ first }) => first)
    for await (const portion of portionsOf(records))
      store.transaction(() => {
        for (const { partition, offset, stamp, value } of portion) {
          const expected = nexts[partition]
          assert(offset === expected, `record ${expected} of partition ${partition} comes next, and not ${offset}`)
          nexts[partition] = offset + 1
          store.putRecord(partition, offset, stamp, value)
          bytes[partition] = (bytes[partition] ?? 0) + value.length
        }
      })
    for (const [partition, { next }] of ranges.entries())
      assert(
        nexts[partition] === next,
        `partition ${partition} is copied up to ${next}, and not to ${nexts[partition]}`,
      )
    // Records that no range names do not exist, so a log that was written in part is an empty one.
    store.transaction(() => {
      for (const [partition, range] of ranges.entries())
        store.putPartition(partition, { ...range, bytes: bytes[partition] ?? 0 })
      for (const { group, positions } of groups) {
        store.putGroup(group, emptyGroup(ranges.length))
        for (const [partition, position] of positions.entries())
          if (position) store.putPosition(group, partition, position)
      }
    })
  } finally {
    await store.close()
  }
}

async function* portionsOf(records: AsyncIterable<PlacedRecord>): AsyncGenerator<readonly PlacedRecord[]> {
  let portion: PlacedRecord[] = []
  let bytes = 0
  for await (const record of records) {
    portion.push(record)
    bytes += record.value.length
    if (bytes < transactionBytesMax) continue
    yield portion
    portion = []
    bytes = 0
  }
  if (portion.length > 0) yield portion
}
