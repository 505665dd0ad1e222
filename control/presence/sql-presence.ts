import { type OwnChannel, tellAll } from '#control/store/change-feed.ts'
import type { Database } from '#control/store/database.ts'
import type { Clock } from '#runtime/clock.ts'
import type { Logger } from '#runtime/logger.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import { announce, announceChannel, announcementFromPayload } from './announcements.ts'
import type { ActivityRecord, Announcement, PresenceRecord, PresenceStore } from './presence.ts'
import { recordBeat, recordPresence, resetLostEdges, resetPresence } from './presence-rows.ts'

/** Presence over the control store, which belongs to the caller. */
export class SqlPresence implements PresenceStore {
  /** To be listened to together with the change feed. */
  readonly channel: OwnChannel
  readonly #database: Database
  readonly #clock: Clock
  readonly #listeners = new Set<(announcement: Announcement) => void>()

  constructor(database: Database, clock: Clock, logger: Logger) {
    this.#database = database
    this.#clock = clock
    this.channel = {
      name: announceChannel,
      onPayload: (payload) => {
        const announcement = announcementFromPayload(payload)
        if (announcement) tellAll(this.#listeners, announcement, logger)
      },
    }
  }

  recordPresence(records: readonly PresenceRecord[]): Promise<void> {
    return recordPresence(this.#database, records)
  }

  resetPresence(edgeId: string, atMs: number): Promise<IdentityId[]> {
    return resetPresence(this.#database, edgeId, atMs)
  }

  recordBeat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void> {
    return recordBeat(this.#database, edgeId, heard)
  }

  resetLostEdges(silentMsMax: number, atMs: number): Promise<IdentityId[]> {
    return resetLostEdges(this.#database, silentMsMax, atMs)
  }

  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number> {
    return announce(this.#database, edge, opened, this.#clock.nowMs())
  }

  onAnnounced(listener: (announcement: Announcement) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
