/**
 * What control says to devices through the edge process that holds their connection: calls, which the device answers, and notices, which
 * tell the edge that there is something for the device. It crosses from `control/` to `ingest/`, and between processes.
 */

/** A direct method. At most once: whoever was told that the device may have it does not call again. */
export interface MethodCall {
  readonly kind: 'method'
  /** One level of a topic. */
  readonly name: string
  /** JSON text. */
  readonly payload: string
  /** The device may take so long to answer. */
  readonly responseMs: number
}

/** A further kind is a variant here, with its check in `control/downlink/downlink-json.ts`. */
export type DeviceCall = MethodCall

/** What an edge process makes of a call. */
export type CallOutcome =
  /** `payload`: JSON text; empty: the device gave none. */
  { readonly kind: 'answered'; readonly status: number; readonly payload: string } | { readonly kind: CallFailure }

/** Those of the first row never reached the device, so the call may be made elsewhere. Those of the second may have. */
export const unsentFailures = ['notHere', 'notSubscribed', 'gone', 'busy', 'tooLarge'] as const
export const sentFailures = ['lost', 'noAnswer', 'badAnswer'] as const

/**
 *   notHere        no connection of it is open at this edge
 *   notSubscribed  there is one, which did not subscribe to methods in time
 *   gone           there was one, which ended before anything was written
 *   busy           as many calls are under way as may be, or the device does not read
 *   tooLarge       the device takes no packet of this length
 *   lost           the connection ended before the device answered
 *   noAnswer       `responseMs` are over
 *   badAnswer      what the device answered is no JSON
 */
export type CallFailure = (typeof unsentFailures)[number] | (typeof sentFailures)[number]

/** Something for a device that is not asked for. Notices may be lost, or come twice: whoever sends one has another way to be heard. */
export type Notice =
  /** Desired properties were committed. `patch`: JSON text of the patch, or of the whole where it was replaced. */
  | { readonly kind: 'desired'; readonly version: number; readonly patch: string }
  /** Its queue has commands. */
  | { readonly kind: 'commands' }
