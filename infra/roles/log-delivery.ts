import type { LetterCounts, LogDelivery, PartitionDelivery } from '#control/delivery/delivery.ts'
import type { Log } from '#pipeline/log/log.ts'
import type { ListedLetter } from '#pipeline/workers/dead-letters/dead-letter-states.ts'

/** How far a group is on a log. Reads the oldest batch that it lacks of each partition. @throws LOG_UNAVAILABLE */
export async function logDelivery(log: Log, group: string, table: string, nowMs: number): Promise<LogDelivery> {
  const [positions, ranges] = await Promise.all([log.positions(group), log.ranges()])
  const partitions = await Promise.all(
    ranges.map(async ({ first, next }, partition): Promise<PartitionDelivery> => {
      // Retention may have removed what lies before.
      const position = Math.max(first, positions[partition]?.offset ?? first)
      const records = Math.max(0, next - position)
      const [oldest] = records === 0 ? [] : await log.read(partition, position, 1)
      return {
        partition,
        first,
        next,
        position,
        records,
        messagesEstimated: records * (oldest?.stamp.messageCount ?? 0),
        // An edge's clock may be ahead.
        oldestSeconds: oldest ? Math.max(0, nowMs - oldest.stamp.enqueuedAtMsFirst) / 1_000 : 0,
      }
    }),
  )
  const sumOf = (field: 'records' | 'messagesEstimated') => partitions.reduce((sum, each) => sum + each[field], 0)
  return {
    topic: log.topic,
    table,
    records: sumOf('records'),
    messagesEstimated: sumOf('messagesEstimated'),
    oldestSeconds: Math.max(0, ...partitions.map(({ oldestSeconds }) => oldestSeconds)),
    partitions,
  }
}

export function letterCounts(letters: readonly ListedLetter[]): LetterCounts {
  const waiting = letters.filter(({ state }) => state === 'open' || state === 'replaying')
  const messagesOf = (those: readonly ListedLetter[]) => those.reduce((sum, { letter }) => sum + letter.messageCount, 0)
  const endpoints = [...new Set(waiting.map(({ letter }) => letter.endpoint))]
  const inState = (state: ListedLetter['state']) => letters.filter((letter) => letter.state === state).length
  return {
    waiting: waiting.length,
    replaying: inState('replaying'),
    messagesWaiting: messagesOf(waiting),
    replayed: inState('replayed'),
    dropped: inState('dropped'),
    oldestAtMs: waiting.length === 0 ? undefined : Math.min(...waiting.map(({ letter }) => letter.atMs)),
    byEndpoint: endpoints.map((endpoint) => {
      const own = waiting.filter(({ letter }) => letter.endpoint === endpoint)
      return { endpoint: endpoint ?? null, waiting: own.length, messages: messagesOf(own) }
    }),
  }
}
