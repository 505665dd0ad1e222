/**
 * The routing store port: the document of routes that is in force, and what routers say of it. Two adapters: `file-routing-store.ts` in a
 * data folder, `sql-routing-store.ts` where control and routers share PostgreSQL. One conformance suite runs over both.
 *
 *   control: write ─▶ revision n ─▶ routers: changed, read, apply ─▶ report(revision n from these offsets on, health of endpoints)
 *   control: addReplay ─▶ routers: replays, run ─▶ endReplay(done)       or control: endReplay(cancelled)
 */
import type { DocumentProblem } from '#runtime/document-reader.ts'
import type { EndpointHealth } from '#schemas/endpoint-health.ts'
import type { KeptReplay, ReplayDocument, ReplayOutcome } from '#schemas/routing/replay.ts'
import type { RoutingDocument } from '#schemas/routing/routing.ts'

export interface RoutingRevision {
  /** 0: nothing was ever written. */
  readonly revision: number
  readonly changedAtMs: number
  /** Secrets are sealed (`sealed-secrets.ts`). */
  readonly document: RoutingDocument
}

export interface RoutingStore {
  /** @throws STORE_UNAVAILABLE */
  read(): Promise<RoutingRevision>
  /**
   * Puts a document in force as one step.
   * @param ifRevision the one that it was made from; `undefined`: whichever is in force
   * @throws ROUTING_ETAG_STALE, STORE_UNAVAILABLE
   */
  write(document: RoutingDocument, ifRevision: number | undefined): Promise<RoutingRevision>
  /** Calls back when another document may be in force, within `noticeMsMax`; also without need. The result ends it. */
  onChange(listener: () => void): () => void
  /** Says how this router does; the last report of each router counts. @throws STORE_UNAVAILABLE */
  report(report: RouterReport): Promise<void>
  /** Of routers that were heard within `reportMsMax`. @throws STORE_UNAVAILABLE */
  reports(): Promise<RouterReport[]>
  /** Routers begin it within `reportMs`. @throws STORE_UNAVAILABLE */
  addReplay(replay: ReplayDocument): Promise<void>
  /** In the order in which they were begun; those that ended are there for `replayKeptMs`. @throws STORE_UNAVAILABLE */
  replays(): Promise<KeptReplay[]>
  /** False if there is none of this id that goes on. @throws STORE_UNAVAILABLE */
  endReplay(id: string, as: ReplayOutcome): Promise<boolean>
  close(): Promise<void>
}

/** Routers learn of a new document within this time; half of what is promised (2 s), the rest is theirs. */
export const noticeMsMax = 1_000
/** How often a router says how it does, and asks for replays. */
export const reportMs = 2_000
/** So long one sees what became of a replay. */
export const replayKeptMs = 7 * 24 * 3_600_000
/** A router that says nothing for so long is gone. */
export const reportMsMax = 30_000

export interface RouterReport {
  readonly router: string
  readonly atMs: number
  /** In force at this router. */
  readonly revision: number
  readonly endpoints: readonly EndpointReport[]
  /** Left out by an older router. */
  readonly replays?: readonly ReplayReport[]
}

/** How far a replay is. */
export interface ReplayReport {
  readonly id: string
  /** Of the log, from where it begins to where it ends, and how many of these are read. */
  readonly records: number
  readonly recordsDone: number
  /** By this router, since it or the replay began. */
  readonly messagesDelivered: number
  /** Why it makes no progress; left out while it does. */
  readonly fault?: string | undefined
}

export interface EndpointReport extends EndpointHealth {
  /** What this router delivers to the endpoint, by partition of the telemetry log. */
  readonly partitions: readonly PartitionReport[]
}

export interface PartitionReport {
  readonly topic: string
  readonly partition: number
  /** From this offset on the revision decides. */
  readonly revisionFrom: number
  /** All before it is delivered. */
  readonly position: number
  /** Records on the log behind it. */
  readonly behind: number
  /** Of the oldest that is not delivered; 0: there is none. */
  readonly ageMs: number
  /** Half-way to where retention removes what the endpoint lacks. Left out by an older router. */
  readonly isFallingBehind?: boolean
}

/** A further check of a document that is right in itself, such as whether its endpoints' addresses are allowed. */
export type CheckDocument = (document: RoutingDocument) => Promise<readonly DocumentProblem[]>
