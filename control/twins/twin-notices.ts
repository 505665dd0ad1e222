/**
 * Twins whose desired properties changed, as they travel in NOTIFY payloads on a channel of their own, in the transaction of the change:
 *
 *   [["device",7],["device","module",3]]     the new versions
 */
import { itemsPacked, type Queries } from '#control/store/database.ts'
import type { DesiredSeen } from './twins.ts'

export const twinChannel = 'penstock_twins'

export async function notifyTwins(queries: Queries, changed: readonly DesiredSeen[]): Promise<void> {
  const items = changed.map(({ deviceId, moduleId, version }) =>
    JSON.stringify(moduleId === undefined ? [deviceId, version] : [deviceId, moduleId, version]),
  )
  const payloads = itemsPacked(items, 2).map((text) => `[${text}]`)
  if (payloads.length === 0) return
  await queries.query('SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload', [twinChannel, payloads])
}

/** `undefined`: of a newer process, which says it otherwise. */
export function noticeFromPayload(payload: string): readonly DesiredSeen[] | undefined {
  try {
    const items: unknown = JSON.parse(payload)
    return Array.isArray(items) ? items.map(seenFromItem) : undefined
  } catch {
    return undefined
  }
}

function seenFromItem(item: unknown): DesiredSeen {
  if (!Array.isArray(item)) throw new TypeError('not a twin')
  const [deviceId, second, third]: unknown[] = item
  const [moduleId, version] = item.length === 2 ? [undefined, second] : [second, third]
  if (typeof deviceId !== 'string' || typeof version !== 'number') throw new TypeError('not a twin')
  return { deviceId, moduleId: typeof moduleId === 'string' ? moduleId : undefined, version }
}
