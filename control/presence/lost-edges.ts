/**
 * Finds edge processes that are gone for good. Without it their devices would count as connected for ever.
 *
 *   edge     beat ── every edgeBeatMs ──▶ heard
 *   control  not heard of for edgeSilenceMsMax ─▶ its devices are disconnected, and an event says so of each
 *
 * Beats cannot arrive while this process or the store is away, or the machine sleeps. After such a time no edge counts as lost before
 * all had `edgeSilenceMsMax` to be heard again. An edge that lives but cannot be heard counts as lost wrongly: its devices count as
 * connected again with their next connection.
 */

import { type Clock, sleep } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { limits } from '#schemas/limits.ts'
import type { PresenceStore } from './presence.ts'

/**
 * @param checkStore rejects while the store does not answer
 * @returns ends the watch, and resolves when nothing of it is under way
 */
export function watchLostEdges(
  store: Pick<PresenceStore, 'resetLostEdges'>,
  checkStore: () => Promise<unknown>,
  clock: Clock,
  logger: Logger,
  onLost: (ids: readonly IdentityId[]) => Promise<void>,
): () => Promise<void> {
  const closed = new AbortController()
  const watch = async (): Promise<void> => {
    let listeningSinceMs = clock.nowMs()
    let lookedAtMs = listeningSinceMs
    while (!closed.signal.aborted) {
      await sleep(clock, limits.edgeBeatMs, closed.signal)
      if (closed.signal.aborted) return
      const nowMs = clock.nowMs()
      if (nowMs - lookedAtMs > 2 * limits.edgeBeatMs) listeningSinceMs = nowMs
      lookedAtMs = nowMs
      try {
        if (nowMs - listeningSinceMs >= limits.edgeSilenceMsMax) {
          const lost = await store.resetLostEdges(limits.edgeSilenceMsMax, nowMs)
          if (lost.length === 0) continue
          logger.warn('edge processes are gone for good: their devices are disconnected', { devices: lost.length })
          await onLost(lost)
        } else await checkStore()
      } catch (error) {
        logger.warn('lost edge processes cannot be looked for', { error })
        listeningSinceMs = nowMs
      }
    }
  }
  const watching = watch()
  return () => {
    closed.abort()
    return watching
  }
}
