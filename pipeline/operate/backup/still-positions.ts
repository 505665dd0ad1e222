/**
 * Does something while no position of a group moves, and so no range of the log becomes rows that a position does not know of.
 *
 *   embedded logs   every partition is held by this process: workers wait, devices do not
 *   Kafka           it is looked at before and after; who delivers has to be stopped by the operator
 */
import type { Log } from '#pipeline/log/log.ts'
import type { CopyableLog, LogHold } from '#pipeline/log/log-copy.ts'
import { noteFromText } from '#pipeline/workers/intent.ts'
import { assert } from '#runtime/assert.ts'
import { PenstockError } from '#schemas/errors.ts'
import type { TopicPositions } from './manifest.ts'

/** @throws LOG_UNAVAILABLE, also if positions could move before `work` was done: this process was paused, and others took its place */
export async function whileHeld(logs: readonly CopyableLog[], work: () => Promise<void>): Promise<void> {
  const holds: LogHold[] = []
  try {
    for (const log of logs) holds.push(await log.hold())
    await work()
    for (const hold of holds) hold.assertHeld()
  } finally {
    await Promise.all(holds.map((hold) => hold.close()))
  }
}

/** A topic, and the group that fills its table. */
export interface DeliveredLog {
  readonly log: Log
  readonly group: string
}

/**
 * @returns the positions that held all the time, with what `work` gave
 * @throws BACKUP_REFUSED if somebody delivered meanwhile
 */
export async function whileStill<T>(
  delivered: readonly DeliveredLog[],
  work: () => Promise<T>,
): Promise<{ readonly positions: readonly TopicPositions[]; readonly result: T }> {
  const before = await positionsOf(delivered)
  for (const { topic, groups } of before)
    for (const { positions } of groups)
      for (const [partition, position] of positions.entries()) {
        const note = position && noteFromText(topic, partition, position.offset, position.metadata)
        if (note?.intent || note?.split) throw delivering(`an insert of ${topic}/${partition} is open`)
      }
  const result = await work()
  const after = await positionsOf(delivered)
  if (JSON.stringify(after) !== JSON.stringify(before)) throw delivering('positions moved while tables were copied')
  return { positions: before, result }
}

async function positionsOf(delivered: readonly DeliveredLog[]): Promise<readonly TopicPositions[]> {
  return await Promise.all(
    delivered.map(async ({ log, group }) => ({
      topic: log.topic,
      groups: [{ group, positions: await log.positions(group) }],
    })),
  )
}

function delivering(why: string): PenstockError {
  return new PenstockError(
    'BACKUP_REFUSED',
    `${why}: stop all workers first, so that tables and positions are of one moment. Edges go on; what they acknowledge waits on Kafka`,
  )
}

const assignedMsMax = 60_000

/** Sets the positions of a group that nobody else is a member of. @throws BACKUP_REFUSED if somebody is */
export async function setPositions({ log, group }: DeliveredLog, wanted: TopicPositions): Promise<void> {
  const positions = wanted.groups.find((each) => each.group === group)?.positions
  if (positions === undefined) return
  const ranges = await log.ranges()
  if (positions.length > ranges.length)
    throw new PenstockError(
      'BACKUP_REFUSED',
      `${log.topic} has ${ranges.length} partitions, and ${positions.length} in the backup`,
    )
  const signal = AbortSignal.timeout(assignedMsMax)
  // One that was lost and is given again stands for no other.
  const set = new Set<number>()
  let finish = { resolve: (): void => {}, reject: (_: unknown): void => {} }
  const all = new Promise<void>((resolve, reject) => {
    finish = { resolve, reject }
  })
  signal.addEventListener('abort', () =>
    finish.reject(
      new PenstockError(
        'BACKUP_REFUSED',
        `not all partitions of ${log.topic} are given to group ${group} here: stop all workers first`,
      ),
    ),
  )
  const member = await log.join(group, ({ partition, commit }) => {
    // Of partitions that were added since, the tables that were put back have nothing.
    const added = partition < positions.length ? undefined : { offset: ranges[partition]?.first ?? 0, metadata: '' }
    const position = positions[partition] ?? added
    assert(partition < ranges.length, `a partition of ${log.topic} is among those that were looked at`)
    const committed = position === undefined ? Promise.resolve() : commit(position)
    committed.then(() => {
      set.add(partition)
      if (set.size === ranges.length) finish.resolve()
    }, finish.reject)
  })
  try {
    await all
  } finally {
    await member.close()
  }
}
