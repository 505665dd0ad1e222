/**
 * The port of identities: which devices and modules there are.
 *
 *   create ─▶ enabled ⇄ disabled ─▶ deleted          each change: new etag, and a change told to every process
 *
 * Faults of all calls: STORE_UNAVAILABLE (retry), REGISTRY_ID_INVALID, REGISTRY_ARGUMENT_INVALID.
 */

import type { IdentityChange } from '#control/store/changes.ts'
import type { Queries } from '#control/store/database.ts'
import type { IdentityId } from '#schemas/identity-id.ts'
import type { Authentication, Identity, IdentityContent, IdentityStatus } from './identity.ts'

/** `undefined`: whatever etag it has. */
export type IfMatch = string | undefined

export interface Identities {
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
  /**
   * Each operation succeeds or fails by itself, in order; the result has one entry an operation.
   * @param alongside what else is to be committed with them, or else nothing is
   */
  bulk(operations: readonly BulkOperation[], alongside?: AlongsideBulk): Promise<BulkOutcome[]>
  /** Creates many devices in one statement and skips ids that exist. @returns how many were created */
  importDevices(contents: readonly IdentityContent[]): Promise<number>
  statistics(): Promise<IdentityStatistics>
  /** What CONNECT checks, for many devices in one statement. Unknown devices are absent from the result. */
  credentials(deviceIds: readonly string[]): Promise<DeviceCredentials[]>
}

/** What an edge process asks about single devices. */
export interface CredentialSource {
  /**
   * What CONNECT checks of a device; `undefined`: it is not registered. Look-ups made in one turn of the event loop travel
   * together.
   * @throws PenstockError AUTH_DIRECTORY_UNAVAILABLE (retry)
   */
  lookup(deviceId: string): Promise<DeviceCredentials | undefined>
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

/** Of each operation what it did, or why it did nothing. */
export type BulkChanges = readonly (IdentityChange['change'] | Error)[]

export type AlongsideBulk = (queries: Queries, changes: BulkChanges) => Promise<void>

/** An operation on what goes with an identity, in the same request. */
export interface TwinItem {
  readonly id: IdentityId
  /** With `tags` and `properties`, as in a twin. */
  readonly document: Readonly<Record<string, unknown>>
  readonly etag: IfMatch
}

/** Inside a caller's transaction. Each succeeds or fails by itself, in order; `undefined`: done. */
export type UpdateTwins = (queries: Queries, items: readonly TwinItem[]) => Promise<readonly (Error | undefined)[]>

export interface IdentityStatistics {
  readonly devices: number
  readonly devicesDisabled: number
  readonly devicesConnected: number
}

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
