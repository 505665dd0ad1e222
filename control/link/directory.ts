/**
 * The directory port: what an edge process asks the registry, and what it is told. Two adapters: `registry-directory.ts` in
 * the process that owns the registry (or has PostgreSQL at hand), `remote-directory.ts` over a local socket to that process.
 */
import type { IdentityId } from '#schemas/identity-id.ts'
import type {
  ActivityRecord,
  Announcement,
  DeviceCredentials,
  DeviceQuota,
  PresenceRecord,
  Trust,
} from '../registry.ts'

export interface Directory {
  /**
   * What CONNECT checks of a device; `undefined`: it is not registered. Look-ups made in one turn of the event loop travel
   * together.
   * @throws PenstockError AUTH_DIRECTORY_UNAVAILABLE (retry)
   */
  lookup(deviceId: string): Promise<DeviceCredentials | undefined>
  /** Policies and authorities. @throws as `lookup` */
  trust(): Promise<Trust>
  /** Quotas of single devices. @throws as `lookup` */
  quotas(): Promise<readonly DeviceQuota[]>
  /** Calls back whenever something that was told may no longer hold. The result ends it. */
  onInvalidate(listener: (invalidation: Invalidation) => void): () => void
  /** Hands over connection states; kept for a while, and dropped if nobody takes them. Never throws. */
  report(records: readonly PresenceRecord[]): void
  /** Whatever this edge process held is disconnected: call it at its start and end. @returns what it held @throws as `lookup` */
  reset(edgeId: string, atMs: number): Promise<readonly IdentityId[]>
  /** This edge process lives, and heard of these: call it every `edgeBeatMs`, with `beatRecordsMax` at a time. @throws as `lookup` */
  beat(edgeId: string, heard: readonly ActivityRecord[]): Promise<void>
  /** As `Registry.announce`. @throws as `lookup` */
  announce(edge: string, opened: readonly ActivityRecord[]): Promise<number>
  /** As `Registry.onAnnounced`; what may have been missed is told by the invalidation of everything. */
  onAnnounced(listener: (announcement: Announcement) => void): () => void
  close(): Promise<void>
}

export type Invalidation =
  /** These devices and all their modules. */
  | { readonly kind: 'devices'; readonly deviceIds: readonly string[] }
  | { readonly kind: 'trust' }
  | { readonly kind: 'quotas' }
  /** Notices may have been missed. */
  | { readonly kind: 'everything' }
