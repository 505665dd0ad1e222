/**
 * The port of twins: what services and devices tell one another of a device or module by documents that outlive connections.
 *
 *   service ─▶ tags, desired ─▶ device          each change of desired properties: told to every edge process (`TwinNotices`)
 *   device  ─▶ reported      ─▶ service
 *
 * Every identity has a twin: an empty one until the first write makes a row of it. Faults of all calls: STORE_UNAVAILABLE (retry),
 * REGISTRY_ID_INVALID, REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN.
 */
import type { IfMatch } from '#control/identities/identities.ts'
import type { Identity } from '#control/identities/identity.ts'
import type { Queries } from '#control/store/database.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { TwinChange } from '#schemas/twin-event.ts'
import type { JsonObject, Section } from './section.ts'

export interface Twin {
  /** Counts changes of all sections. */
  readonly version: number
  /** Counts changes of tags and desired properties. */
  readonly etag: number
  readonly tags: JsonObject
  readonly desired: Section
  readonly reported: Section
  /** `{"id":{"status":"Applied"}}` of each configuration that is meant for it. */
  readonly configurations: JsonObject
}

export interface IdentityTwin {
  readonly identity: Identity
  readonly twin: Twin
}

/** What a service writes: sections that are left out stay as they are. */
export interface TwinPatch {
  readonly tags?: JsonObject
  readonly desired?: JsonObject
}

/** One of several writes that are answered together. */
export interface TwinUpdate {
  readonly id: IdentityId
  readonly patch: TwinPatch
  readonly ifMatch: IfMatch
}

/** What services do with twins. */
export interface Twins {
  get(id: IdentityId): Promise<IdentityTwin>
  /** Merges a patch. @throws TWIN_INVALID, REGISTRY_ETAG_STALE */
  update(id: IdentityId, patch: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin>
  /** Replaces whole sections. @throws as `update` */
  replace(id: IdentityId, sections: TwinPatch, ifMatch: IfMatch): Promise<IdentityTwin>
  /** Each update succeeds or fails by itself, in order. @param alongside what else is to be committed with them, or else nothing is */
  updateAll(updates: readonly TwinUpdate[], alongside?: Alongside): Promise<TwinOutcomes>
  /** The same inside a caller's transaction. */
  updateWithin(queries: Queries, updates: readonly TwinUpdate[]): Promise<TwinOutcomes>
}

/** Of each update; `undefined`: done. */
export type TwinOutcomes = readonly (Error | undefined)[]

export type Alongside = (queries: Queries, outcomes: TwinOutcomes) => Promise<void>

/** The twin as its device reads it, with the two versions. */
export interface DeviceTwin {
  /** `{"desired":{…,"$version":n},"reported":{…,"$version":n}}` */
  readonly text: string
  readonly desiredVersion: number
}

/** Patch of reported properties, checked by `patchFrom`. */
export interface Report {
  readonly id: IdentityId
  readonly patch: JsonObject
  /** As it was sent. */
  readonly bytes: number
  /** The version of the reported properties that the patch is meant for; `undefined`: any. */
  readonly ifVersion: number | undefined
}

/** Up to which version of its desired properties a device was told. */
export interface DesiredSeen extends IdentityId {
  readonly version: number
}

/** What changed of a device's desired properties. */
export interface DesiredChange extends IdentityId {
  readonly version: number
  /** JSON with `$version`, for the device. */
  readonly text: string
}

/** Twins whose desired properties changed, with their new versions. `undefined`: notices may have been missed. */
export type TwinNotice = readonly DesiredSeen[] | undefined

/** What edge processes ask in the name of devices. @throws AUTH_DIRECTORY_UNAVAILABLE (retry) */
export interface DeviceTwins {
  /** Reads made in one turn of the event loop travel together. */
  read(id: IdentityId): Promise<DeviceTwin>
  /**
   * Merges a patch of reported properties. Patches of one identity are merged in the order of the calls.
   * @returns their new version, once it is committed
   * @throws TWIN_INVALID, TWIN_CONFLICT, REGISTRY_ETAG_STALE (of `ifVersion`)
   */
  report(report: Report): Promise<number>
  /** What changed since these versions, of those where something did; at most `twinGroupMax` at once. */
  desiredSince(seen: readonly DesiredSeen[]): Promise<readonly DesiredChange[]>
  /** The versions that these were told of last, as `saw` was told; those of which nothing is known are left out. */
  seen(ids: readonly IdentityId[]): Promise<readonly DesiredSeen[]>
  /** Keeps what devices were told. Never throws: what is lost is told to the device again. */
  saw(seen: readonly DesiredSeen[]): void
  /** Calls back after each change of desired properties. The result ends it. */
  onDesired(listener: (notice: TwinNotice) => void): () => void
}

/** All that routes may ask of a twin. */
export interface WholeTwin extends IdentityId {
  /** `{"tags":{…},"properties":{"desired":{…},"reported":{…}}}` */
  readonly text: string
}

/** What routers ask. */
export interface WholeTwins {
  /** Those that are empty from the start, and of identities that are unknown, are left out; at most `routedTwinsAtOnceMax` at once. @throws STORE_UNAVAILABLE (retry) */
  whole(ids: readonly IdentityId[]): Promise<readonly WholeTwin[]>
}

/** Changes in the order of their commits for each identity, and where they stand in the outbox. */
export interface TwinEventPortion {
  readonly events: readonly TwinChange[]
  /** For `forget`. */
  readonly rows: readonly string[]
}

/**
 * Committed changes that are not on the log yet, written together with the change. One process at a time forwards them: whoever held this right
 * last keeps it as long as it asks every `twinEventsHeldMs`. @throws STORE_UNAVAILABLE (retry)
 */
export interface TwinOutbox {
  /** The oldest ones; empty where there are none, or another process forwards them. */
  next(): Promise<TwinEventPortion>
  /** Keeps the right while a portion is under way. */
  hold(): Promise<void>
  /** They are on the log. */
  forget(portion: TwinEventPortion): Promise<void>
  /** About how many wait, and since when the oldest does. */
  measure(): Promise<{ readonly waiting: number; readonly oldestAtMs: number | undefined }>
  /** Gives up the oldest of them, so that about `keptMax` are left. @returns how many */
  drop(keptMax: number): Promise<number>
}
