/**
 * The port of presence: which devices are connected, at which edge process, and when they were last heard of.
 * Faults of all calls: STORE_UNAVAILABLE (retry).
 */
import type { IdentityId } from '#schemas/identity-id.ts'

export interface PresenceRecord extends IdentityId {
  readonly connected: boolean
  readonly edgeId: string
  readonly atMs: number
  /** Of the model that it announced, if it connected. */
  readonly modelId?: string | undefined
}

export interface ActivityRecord extends IdentityId {
  readonly atMs: number
}

/** Connections that opened at one edge process, by the store's clock. */
export interface Announcement {
  readonly edge: string
  readonly opened: readonly ActivityRecord[]
}

/** How edge processes tell one another who connected. */
export interface Announcements {
  /**
   * Tells every process that these connected at this edge process, so that older connections of theirs end elsewhere. One statement,
   * whose NOTIFYs hold some 250 devices each.
   * @param edge name of one start of one edge process
   * @param opened by the clock of this machine
   * @returns milliseconds by which the store's clock is ahead of it
   * @throws of an edge process: AUTH_DIRECTORY_UNAVAILABLE (retry)
   */
  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number>
  /** Calls back with what any process announced, this one too. What may have been missed is told as a change. The result ends it. */
  onAnnounced(listener: (announcement: Announcement) => void): () => void
}

export interface PresenceStore extends Announcements {
  /** Connection states and last activities; later records of an identity win. Raises no change. */
  recordPresence(records: readonly PresenceRecord[]): Promise<void>
  /** Everything that this edge process held is disconnected: it has just started, or ends. @returns what it held */
  resetPresence(edgeId: string, atMs: number): Promise<IdentityId[]>
  /** This edge process lives and heard of these; who is connected does not change, and identities that are gone are left out. */
  recordBeat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void>
  /** As `resetPresence`, of every edge process that was not heard of for `silentMsMax`, by the store's own clock. */
  resetLostEdges(silentMsMax: number, atMs: number): Promise<IdentityId[]>
}

/** What an edge process tells of what it holds. @throws AUTH_DIRECTORY_UNAVAILABLE (retry) where it says nothing else */
export interface EdgePresence extends Announcements {
  /** Hands over connection states. They wait for a while if the store is away, and the oldest are dropped. Never throws. */
  report(records: readonly PresenceRecord[]): void
  /** Whatever this edge process held is disconnected: call it at its start and end. @returns what it held */
  reset(edgeId: string, atMs: number): Promise<readonly IdentityId[]>
  /** This edge process lives, and heard of these: call it every `edgeBeatMs`, with `beatRecordsMax` at a time. */
  beat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void>
}
