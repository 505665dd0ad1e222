/**
 * Connections that opened, as they travel in NOTIFY payloads on a channel of their own, `at` by the store's clock:
 *
 *   {"at":1700000000000,"edge":"kX3…","opened":[["device",12],["device","module",0]]}     so many milliseconds before `at`
 *
 * Ages are taken when the statement is sent and `at` when the store runs it, so that no clock but the store's matters; what the
 * statement took to get there, a millisecond or so, is the error.
 */

import { itemsPacked, type Queries } from '#control/store/database.ts'
import type { ActivityRecord, Announcement } from './presence.ts'

export const announceChannel = 'penstock_connections'

/** @returns milliseconds by which the store's clock is ahead of `nowMs` */
export async function announce(
  queries: Queries,
  edge: string,
  opened: readonly ActivityRecord[],
  nowMs: number,
): Promise<number> {
  const items = opened.map(({ deviceId, moduleId, atMs }) =>
    JSON.stringify(moduleId === undefined ? [deviceId, nowMs - atMs] : [deviceId, moduleId, nowMs - atMs]),
  )
  const rest = `,"edge":${JSON.stringify(edge)},"opened":[`
  const payloads = itemsPacked(items, rest.length + 32).map((text) => `${rest}${text}]}`)
  // A function in FROM is run once: all payloads say the same moment.
  const [row] = await queries.query<{ at: number }>(
    `SELECT at, pg_notify($1, '{"at":' || at || payload)
     FROM (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS at OFFSET 0) AS now, unnest($2::text[]) AS payload`,
    [announceChannel, payloads],
  )
  return (row?.at ?? nowMs) - nowMs
}

/** `undefined`: of a newer process, which says it otherwise. */
export function announcementFromPayload(payload: string): Announcement | undefined {
  try {
    const { at, edge, opened }: Record<string, unknown> = JSON.parse(payload)
    if (typeof at !== 'number' || typeof edge !== 'string' || !Array.isArray(opened)) return undefined
    return { edge, opened: opened.map((item) => recordFromItem(item, at)) }
  } catch {
    return undefined
  }
}

function recordFromItem(item: unknown, at: number): ActivityRecord {
  if (!Array.isArray(item)) throw new TypeError('not a connection')
  const [deviceId, second, third]: unknown[] = item
  const [moduleId, ageMs] = item.length === 2 ? [undefined, second] : [second, third]
  if (typeof deviceId !== 'string' || typeof ageMs !== 'number') throw new TypeError('not a connection')
  return { deviceId, moduleId: typeof moduleId === 'string' ? moduleId : undefined, atMs: at - ageMs }
}
