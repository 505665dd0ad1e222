/**
 * The port of the downlink: from control to the devices, through whichever edge process holds their connection. Works without the store.
 *
 * Who holds a device is asked, never looked up: what edges announce is only where to ask first (`edge-finder.ts`).
 */
import type { CallOutcome, DeviceCall, Notice } from '#schemas/downlink.ts'
import type { IdentityId } from '#schemas/identity-id.ts'

export interface Downlink {
  /**
   * Calls a device or module. It is written to at most one connection, at most once.
   * @param connectMs how long to wait until it is connected and listens
   * @param left aborts once nobody waits for the outcome: a device that was not called by then is not called any more. What was sent stays sent
   * @param onAway once it turns out not to be connected, before it is waited for
   * @returns `notHere`, `notSubscribed` once `connectMs` are over; never rejects but with @throws what `onAway` throws
   */
  call(
    id: IdentityId,
    call: DeviceCall,
    connectMs: number,
    left?: AbortSignal,
    onAway?: () => Promise<void>,
  ): Promise<CallOutcome>
  /** Tells the edges that hold these. Best effort: nothing is repeated, and whoever is not connected is not told. Never throws. */
  tell(ids: readonly IdentityId[], notice: Notice): void
}

/** The same at one edge process, which answers for the connections that it holds. */
export interface EdgeDownlink {
  /** @param waitMs how long a device that is connected may take to listen @param left ends that wait @returns never rejects */
  call(id: IdentityId, call: DeviceCall, waitMs: number, left?: AbortSignal): Promise<CallOutcome>
  /** Of each whether a connection of it is open here. */
  holds(ids: readonly IdentityId[]): readonly boolean[]
  /** @returns those that are not here */
  tell(ids: readonly IdentityId[], notice: Notice): readonly IdentityId[]
}

/** An edge process as control reaches it. All calls may reject with LINK_LOST, LINK_ANSWER_LATE and their kin. */
export interface EdgeLink {
  /** As the edge announces its connections (`control/presence/`). */
  readonly edgeId: string
  call(id: IdentityId, call: DeviceCall, waitMs: number, left?: AbortSignal): Promise<CallOutcome>
  holds(ids: readonly IdentityId[]): Promise<readonly boolean[]>
  tell(ids: readonly IdentityId[], notice: Notice): Promise<readonly IdentityId[]>
}
