/**
 * The registry port: who may connect, and as what. Kept in the control store; opened by `open-registry.ts`.
 *
 *   create ─▶ enabled ⇄ disabled ─▶ deleted          each change: new etag, and a RegistryChange to every process
 *
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ID_INVALID, REGISTRY_ARGUMENT_INVALID.
 */

import type { IdentityId } from '#schemas/identity-id.ts'
import type { Authentication, Identity, IdentityContent, IdentityStatus } from './identities/identity.ts'
import type { SqlRow } from './store/database.ts'

/** `undefined`: whatever etag it has. */
export type IfMatch = string | undefined

export interface Registry {
  get(id: IdentityId): Promise<Identity | undefined>
  /** Missing keys are made. @throws REGISTRY_DEVICE_EXISTS, REGISTRY_MODULE_EXISTS, REGISTRY_DEVICE_UNKNOWN (of a module), REGISTRY_MODULES_FULL */
  create(content: IdentityContent): Promise<Identity>
  /** Missing keys stay as they are. @throws REGISTRY_DEVICE_UNKNOWN, REGISTRY_MODULE_UNKNOWN, REGISTRY_ETAG_STALE */
  replace(content: IdentityContent, ifMatch: IfMatch): Promise<Identity>
  /** Takes a device's modules with it. @throws as `replace` */
  delete(id: IdentityId, ifMatch: IfMatch): Promise<void>
  /** Modules of a device by id. @throws REGISTRY_DEVICE_UNKNOWN */
  modulesOf(deviceId: string): Promise<Identity[]>
  /** Devices whose id is greater than `after`, in order of id bytes, at most `countMax`. Cost: one index range, wherever it begins. */
  devicesAfter(after: string, countMax: number): Promise<Identity[]>
  /** Each operation succeeds or fails by itself, in order; the result has one entry an operation. */
  bulk(operations: readonly BulkOperation[]): Promise<BulkOutcome[]>
  /** Creates many devices in one statement and skips ids that exist. @returns how many were created */
  importDevices(contents: readonly IdentityContent[]): Promise<number>
  statistics(): Promise<RegistryStatistics>
  /** Answers the hub's query language, the part that `query/` documents. @throws REGISTRY_QUERY_INVALID */
  query(text: string, page: QueryPage): Promise<QueryResult>

  /** What CONNECT checks, for many devices in one statement. Unknown devices are absent from the result. */
  credentials(deviceIds: readonly string[]): Promise<DeviceCredentials[]>
  trust(): Promise<Trust>
  /** Creates those policies whose names are free. */
  addPolicies(policies: readonly Policy[]): Promise<void>
  /** Creates the policy, or gives it new keys or rights. */
  putPolicy(policy: Policy): Promise<void>
  /** Gives a policy another key and leaves the rest as it is. @returns `undefined`: no such policy */
  rekeyPolicy(name: string, which: KeyName, key: string): Promise<Policy | undefined>
  putAuthority(authority: CertificateAuthority): Promise<void>
  deleteAuthority(name: string): Promise<boolean>

  /** Quotas of single devices, by device id: few, and kept whole by every edge. */
  quotas(): Promise<DeviceQuota[]>
  /** Gives a device a quota of its own, or another one. @throws REGISTRY_DEVICE_UNKNOWN */
  putQuota(quota: DeviceQuota): Promise<void>
  /** @throws REGISTRY_QUOTA_UNKNOWN */
  deleteQuota(deviceId: string): Promise<void>

  /** Connection states and last activities; later records of an identity win. Raises no change. */
  recordPresence(records: readonly PresenceRecord[]): Promise<void>
  /** Everything that this edge process held is disconnected: it has just started, or ends. @returns what it held */
  resetPresence(edgeId: string, atMs: number): Promise<IdentityId[]>
  /** This edge process lives and heard of these; who is connected does not change, and identities that are gone are left out. */
  recordBeat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void>
  /** As `resetPresence`, of every edge process that was not heard of for `silentMsMax`, by the store's own clock. */
  resetLostEdges(silentMsMax: number, atMs: number): Promise<IdentityId[]>

  /**
   * Tells every process that these connected at this edge process, so that older connections of theirs end elsewhere. One statement,
   * whose NOTIFYs hold some 250 devices each.
   * @param edge name of one start of one edge process
   * @param opened by the clock of this machine
   * @returns milliseconds by which the store's clock is ahead of it
   */
  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number>
  /** Calls back with what any process announced, this one too. The result ends it. */
  onAnnounced(listener: (announcement: Announcement) => void): () => void

  /** Calls back after each committed change, made by this or any other process. The result ends it. */
  onChange(listener: (change: RegistryChange) => void): () => void
  close(): Promise<void>
}

export type BulkMode =
  | 'create'
  | 'update'
  | 'updateIfMatchEtag'
  | 'delete'
  | 'deleteIfMatchEtag'
  | 'createOrUpdate'
  | 'createOrUpdateIfMatchEtag'

export interface BulkOperation {
  readonly mode: BulkMode
  readonly content: IdentityContent
  readonly etag: IfMatch
}

/** `undefined`: done. */
export type BulkOutcome = Error | undefined

export interface RegistryStatistics {
  readonly devices: number
  readonly devicesDisabled: number
  readonly devicesConnected: number
}

export interface QueryPage {
  readonly countMax: number
  /** As the page before gave it; `undefined` for the first page. */
  readonly continuation: string | undefined
}

/** `twin`: whole identities; `raw`: the named fields or aggregates. `continuation` is `undefined` on the last page. */
export type QueryResult =
  | { readonly kind: 'twin'; readonly identities: readonly Identity[]; readonly continuation: string | undefined }
  | { readonly kind: 'raw'; readonly items: readonly SqlRow[]; readonly continuation: string | undefined }

/** What proves one identity at CONNECT. */
export interface IdentityCredentials {
  readonly generationId: string
  readonly status: IdentityStatus
  readonly authentication: Authentication
}

export interface DeviceCredentials extends IdentityCredentials {
  readonly deviceId: string
  /** By module id. */
  readonly modules: Readonly<Record<string, IdentityCredentials>>
}

export const rights = ['RegistryRead', 'RegistryWrite', 'ServiceConnect', 'DeviceConnect'] as const

export type Right = (typeof rights)[number]

/** Two keys are good at a time, so that one can be renewed while the other is in use. */
export type KeyName = 'primary' | 'secondary'

export function isKeyName(value: unknown): value is KeyName {
  return value === 'primary' || value === 'secondary'
}

/** A shared access policy: whoever holds one of its keys has its rights. */
export interface Policy {
  readonly name: string
  readonly rights: readonly Right[]
  readonly primaryKey: string
  readonly secondaryKey: string
}

export interface CertificateAuthority {
  readonly name: string
  /** PEM. */
  readonly certificate: string
  /** True once its owner has proven to hold the private key. */
  readonly verified: boolean
  /** What a proof must be made out to; `undefined` once verified. */
  readonly verificationCode: string | undefined
}

/** What stands above single devices: policies and authorities. Small, and kept whole by every process. */
export interface Trust {
  readonly policies: readonly Policy[]
  readonly authorities: readonly CertificateAuthority[]
}

/** What one device may do at one edge process. `undefined`: as the settings say; 0: any. It goes with its device. */
export interface DeviceQuota {
  readonly deviceId: string
  readonly messagesPerSecond: number | undefined
  readonly bytesPerSecond: number | undefined
  readonly connectionsPerMinute: number | undefined
}

export interface PresenceRecord extends IdentityId {
  readonly connected: boolean
  readonly edgeId: string
  readonly atMs: number
}

export interface ActivityRecord extends IdentityId {
  readonly atMs: number
}

/** Connections that opened at one edge process, by the store's clock. */
export interface Announcement {
  readonly edge: string
  readonly opened: readonly ActivityRecord[]
}

export type RegistryChange =
  | { readonly kind: 'identities'; readonly changes: readonly IdentityChange[] }
  /** Policies or authorities. */
  | { readonly kind: 'trust' }
  /** Quotas of single devices. */
  | { readonly kind: 'quotas' }
  /** Changes and announcements may have been missed: forget everything derived from the registry. */
  | { readonly kind: 'resync' }

export interface IdentityChange extends IdentityId {
  readonly change: 'created' | 'updated' | 'deleted'
}
