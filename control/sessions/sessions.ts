/**
 * The port of kept sessions: what a device listens to, between its connections, at whichever edge it comes back, over restarts of all
 * processes. Clients of the hub for Python never subscribe again; without this they would hear nothing after their first lost connection.
 *
 * What a subscription is made of is the edge's business: here it is a number, and 0 is none. Faults: STORE_UNAVAILABLE (retry), of an edge
 * process AUTH_DIRECTORY_UNAVAILABLE (retry).
 */
import type { IdentityId } from '#schemas/identity-id.ts'

export interface KeptSession extends IdentityId {
  /** 0: nothing is kept. */
  readonly subscriptions: number
  /** After the connection ended; `undefined`: as long as there is the identity. */
  readonly keptSeconds: number | undefined
}

/** Kept sessions of the devices of one edge process. Never throws, and never rejects: the store may be away. */
export interface EdgeSessions {
  /**
   * What is kept of a device that connects.
   * @param onLate told once, if there was no answer in time; `forget` ends it
   * @returns `undefined`: nobody knows yet
   */
  lookup(id: IdentityId, onLate: (subscriptions: number) => void): Promise<number | undefined>
  /** The connection that asked with this listener is gone. What a newer one of the same device asks goes on. */
  forget(id: IdentityId, onLate: (subscriptions: number) => void): void
  keep(session: KeptSession): void
}

export interface KeptSessions {
  /** Those of these that are kept and not over; none has no subscriptions. */
  sessions(ids: readonly IdentityId[]): Promise<readonly KeptSession[]>
  /** In place of what was kept. Identities that are gone are left out. May be told twice. */
  keepSessions(sessions: readonly KeptSession[]): Promise<void>
}
